"""What a file is to the warehouse: known already, new, grown, or a new version of an old one."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.files import Content

APPENDABLE = ("csv", "json_lines")


@dataclass(frozen=True)
class Version:
    """An earlier landing of a file, as ops.landed_files has it."""

    file_id: int
    batch_id: int
    file_name: str
    content_sha256: str
    byte_count: int
    status: str
    has_open_end: bool = False  # its last record was cut, so what follows belongs to it


@dataclass(frozen=True)
class Verdict:
    """What to do with a file.

    Attributes:
        known: The landing that holds this very content already; nothing is to be done.
        supersedes_file_id: Version that this one replaces once it is accepted.
        continues_file_id: Version whose content it begins with: only what follows is landed.
        skip_bytes: Length of that content.
        skip_lines: Lines in it.
    """

    known: Version | None = None
    supersedes_file_id: int | None = None
    continues_file_id: int | None = None
    skip_bytes: int = 0
    skip_lines: int = 0


def judge(
    name: str, file_format: str, content: Content, current: Version | None, same: list[Version]
) -> Verdict:
    """Compare a file with what has been landed.

    Args:
        name: Its full name.
        file_format: As in ingest.files.FORMATS.
        content: What it holds now.
        current: The newest accepted version of that name; `content` looked for it as a prefix.
        same: Landings of the table with this very content, under whatever name.
    """
    for version in same:
        # an older version that came back is news: the newer one in between is in force
        is_older = current is not None and version.file_id != current.file_id
        if version.status == "superseded" or (
            is_older and version.file_name == name and version.status == "accepted"
        ):
            continue
        return Verdict(known=version)
    if current is None:
        return Verdict()
    if (
        file_format in APPENDABLE
        and content.prefix_sha256 == current.content_sha256
        and content.prefix_line_count is not None
        and not current.has_open_end
    ):
        return Verdict(
            continues_file_id=current.file_id,
            skip_bytes=current.byte_count,
            skip_lines=content.prefix_line_count,
        )
    return Verdict(supersedes_file_id=current.file_id)
