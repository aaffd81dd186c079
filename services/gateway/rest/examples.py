"""Example answers for the OpenAPI document. Tests check them against the models.

They have no null, since FastAPI leaves it out of the document.
"""

from typing import Any

ROOM: dict[str, Any] = {
    "roomId": "voice-room-123",
    "name": "Daily",
    "type": "voice",
    "maxParticipants": 10,
    "createdBy": "agent-fawzi",
    "createdAt": "2026-02-11T10:00:00.000Z",
    "access": "open",
    "settings": {"muteOnEntry": True, "allowRecording": False, "maxDuration": 60},
    "participantCount": 1,
    "locked": False,
    "topology": "mesh",
}

ROOMS: dict[str, Any] = {"rooms": [ROOM], "cursor": "MjAyNi0wMi0xMVQxMDowMDowMC4wMDBa"}

PARTICIPANTS: dict[str, Any] = {
    "revision": 7,
    "participants": [
        {
            "id": "p_h3kVb0mQ2sX1nD8cT5rYzA",
            "agentId": "agent-fawzi",
            "deviceId": "laptop",
            "name": "Fawzi",
            "kind": "human",
            "role": "owner",
            "order": 3,
            "joinedAt": "2026-02-11T10:01:00.000Z",
            "connection": "connected",
            "media": {"audio": {"state": "muted"}, "video": {"state": "off"}, "screen": {"state": "off"}},
            "metadata": {},
        }
    ],
}

ISSUED: dict[str, Any] = {"token": "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl", "expiresAt": "2026-02-11T10:10:00.000Z"}

GUEST: dict[str, Any] = {**ISSUED, "agentId": "guest-Xk2fPz0bQ9yq3mWc7VhT1g"}

JOIN_TOKEN: dict[str, Any] = {**ISSUED, "url": "wss://calls.example/ws"}
