"""Compare a file with earlier landings: known already, new, grown, or a new version."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.files import Content

APPENDABLE = ("csv", "json_lines")


@dataclass(frozen=True)
class Version:
    """An earlier landing of a file: a row of ops.landed_files."""

    file_id: int
    batch_id: int
    file_name: str
    content_sha256: str
    byte_count: int
    status: str
    has_open_end: bool = False  # the last record was cut off, so later lines belong to it


@dataclass(frozen=True)
class Verdict:
    """What to do with a file.

    Attributes:
        known: The landing that holds this content already: nothing is landed.
        supersedes_file_id: Version that the file replaces once it is accepted.
        continues_file_id: Version that the file begins with: only what follows is landed.
        skip_bytes: Length of the continued version.
        skip_lines: Lines of the continued version.
    """

    known: Version | None = None
    supersedes_file_id: int | None = None
    continues_file_id: int | None = None
    skip_bytes: int = 0
    skip_lines: int = 0


def compare(
    name: str, file_format: str, content: Content, current: Version | None, same: list[Version]
) -> Verdict:
    """Compare a file with earlier landings of its table.

    Args:
        name: Full name of the file.
        file_format: A value of ingest.listing.FORMATS, or `table`.
        content: The file's content; its prefix is as long as `current`.
        current: The newest accepted version of the file; None if there is none.
        same: Landings of the table with the same content, under any name.
    """
    for version in same:
        # an older version that is sent again is news: a newer version is accepted now
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
