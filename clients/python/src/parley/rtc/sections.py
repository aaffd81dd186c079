"""What a session description says about its media sections. Pure: it reads what calls need, and nothing else."""

from dataclasses import dataclass

DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")


@dataclass(slots=True)
class Section:
    """A media section: its kind (`audio`, `video`, `application`), and what it says of itself."""

    kind: str
    rejected: bool
    mid: str = ""
    direction: str = "sendrecv"
    stream: str | None = None  # the id of the MediaStream that its track is in
    ufrag: str | None = None

    @property
    def sends(self) -> bool:
        """Whether whoever wrote it sends in it."""
        return self.kind != "application" and not self.rejected and self.direction in ("sendrecv", "sendonly")


def sections(sdp: str) -> list[Section]:
    """The media sections of a description (RFC 8866), in order."""
    found: list[Section] = []
    session = Section("session", rejected=False)
    for line in sdp.splitlines():
        if line.startswith("m="):
            words = line[2:].split()
            port = words[1] if len(words) > 1 else "0"
            found.append(Section(words[0], rejected=port == "0"))
            found[-1].direction, found[-1].ufrag = session.direction, session.ufrag
        elif line.startswith("a="):
            _take(found[-1] if found else session, line[2:])
    return found


def ufrags(sdp: str) -> frozenset[str]:
    """The ICE user fragments of the sections that are in use: others mean another ICE generation (RFC 8445, 9)."""
    return frozenset(one.ufrag for one in sections(sdp) if one.ufrag and not one.rejected)


def _take(section: Section, attribute: str) -> None:
    name, _, value = attribute.partition(":")
    if name == "mid":
        section.mid = value.strip()
    elif name == "msid":
        stream = value.split()[:1]
        section.stream = stream[0] if stream and stream[0] != "-" else None
    elif name == "ice-ufrag":
        section.ufrag = value.strip()
    elif name in DIRECTIONS:
        section.direction = name
