"""Two agents meet in a room; one offers, the other answers.  Usage: python docs/examples/offer_answer.py [URL]"""

import asyncio
import json
import sys
import urllib.request
from typing import Any

from websockets.asyncio.client import connect

# Your RTCPeerConnection makes these (a browser's, aiortc's …); here one data channel, written by hand.
SDP = "v=0|o=- 1 1 IN IP4 0.0.0.0|s=-|t=0 0|a=fingerprint:sha-256 {print}|m=application 9 UDP/DTLS/SCTP webrtc-datachannel|"
SDP += "c=IN IP4 0.0.0.0|a=mid:0|a=setup:{setup}|a=ice-ufrag:abcd|a=ice-pwd:0123456789abcdefghijkl|a=sctp-port:5000|"


def description(setup: str) -> str:
    return SDP.format(print=":".join(["AB"] * 32), setup=setup).replace("|", "\r\n")


def dev_token(url: str, agent_id: str) -> str:  # outside development the tokens come from agent-link
    body = json.dumps({"agentId": agent_id}).encode()
    request = urllib.request.Request(url + "/api/dev/token", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return str(json.load(answer)["token"])


async def agent(url: str, name: str, room: str) -> str:
    token = await asyncio.to_thread(dev_token, url, name)
    async with connect(url.replace("http", "ws", 1) + "/ws") as socket:

        async def say(type_: str, **fields: Any) -> None:
            await socket.send(json.dumps({"type": type_, **fields}))

        await say("authenticate", id="1", token=token)
        async for frame in socket:
            match json.loads(frame):
                case {"type": "auth_ok"}:
                    await say("join_room", id="2", roomId=room)
                case {"type": "room_users", "participants": [first, *_, _]}:  # who comes later offers
                    await say("offer", id="3", to=first["id"], sdp=description("actpass"))
                case {"type": "offer", "from": sender}:
                    await say("answer", id="3", to=sender, sdp=description("active"))
                case {"type": "answer", "agentId": who}:
                    return f"{name}: {who} has answered my offer"
                case {"type": "user_left", "agentId": who}:
                    return f"{name}: {who} has left"
                case {"type": "error" | "auth_error", "message": why}:
                    return f"{name}: {why}"
    return f"{name}: the gateway closed the connection"


async def main(url: str, room: str = "five-minutes") -> None:
    for outcome in await asyncio.gather(agent(url, "ada", room), agent(url, "bot", room)):
        print(outcome)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"))
