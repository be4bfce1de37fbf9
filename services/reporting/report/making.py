"""Makes one report aside (`services.kit.aside`): `python -m services.reporting.report.making`.

A task comes in on standard input, the file goes out on standard output; how far it is goes to standard error, a number a line.
What cannot be made of such figures ends with the status `REFUSED`, and the reason on the last line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

import msgspec

from services.kit.problems import Problem
from services.reporting.report.compose import compose, tables_only
from services.reporting.report.document import Document
from services.reporting.report.figures import Figures
from services.reporting.report.inputs import Sources, figures_of
from services.reporting.report.jobs import Request
from services.reporting.report.letter import compose_letter
from services.reporting.share import Scope

REFUSED = 65
"""The status that the C library calls EX_DATAERR."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """All that a report is made of. `sources` is JSON of `Sources`, as it is kept."""

    request: Request
    sources: bytes
    cut: dict[str, Scope]
    before: dict[str, Scope] | None
    address: str


def document_of(request: Request, figures: Figures) -> Document:
    """The paper that was asked for."""
    if request.kind == "cong-van":
        return compose_letter(figures, request.form)
    document = compose(figures, request.form)
    return tables_only(document) if request.kind == "bieu" else document


def make(task: Task, tell: Callable[[int], None] = lambda percent: None) -> bytes:
    """The file. `tell` hears percentages of the rendering. Raises Problem 422 for a letter to nobody."""
    sources = msgspec.json.decode(task.sources, type=Sources)
    figures = figures_of(sources, task.request, task.cut, task.before, task.address)
    document = document_of(task.request, figures)
    rows = max(1, sum(len(table.rows) for table in document.tables))
    tell(10)
    return _renderer(task.request)(document, partial(_share, tell, rows))


def _share(tell: Callable[[int], None], rows: int, done: int) -> None:
    tell(10 + 85 * min(done, rows) // rows)


def _renderer(request: Request) -> Callable[[Document, Callable[[int], None]], bytes]:
    # Each library takes a tenth of a second to import: only the one that is needed.
    if request.format == "docx":
        from services.reporting.report.word import render_word

        return render_word
    if request.format == "pdf":
        from services.reporting.report.pdf import render_pdf

        return render_pdf
    if request.format == "xlsx":
        from services.reporting.report.excel import render_excel

        return render_excel
    from services.reporting.report.csv_files import render_csv

    return render_csv


def main() -> int:
    """Reads a task, writes a file."""
    task = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Task)
    try:
        content = make(task, lambda percent: print(percent, file=sys.stderr, flush=True))
    except Problem as problem:
        print(problem.detail, file=sys.stderr)
        return REFUSED
    sys.stdout.buffer.write(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
