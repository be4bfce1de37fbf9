"""The command `hoithi`. Each command is thin: what it does stands in the file that it imports, when it is called."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from cyclopts import App, Parameter
from pydantic import ValidationError
from rich.console import Console as Terminal

from deploy.local.refusal import Refusal
from services.kit.bus import BusDown
from services.kit.problems import Problem
from services.kit.settings import Settings
from services.kit.store import StoreDown
from services.kit.version import VERSION

if TYPE_CHECKING:
    from deploy.local.wiring import House

T = TypeVar("T")
Service = Literal["quiz", "scoring", "reporting", "notify"]

terminal = Terminal(highlight=False, soft_wrap=True, emoji=False)

app = App(
    name="hoithi",
    help="Hội Thi: cuộc thi trắc nghiệm trực tuyến toàn thành phố.",
    version=VERSION,
    version_flags=["--version"],
)
contest = App(name="contest", help="Cuộc thi.")
demo = App(name="demo", help="Dữ liệu dùng thử.")
receipt = App(name="receipt", help="Biên nhận.")
dlq = App(name="dlq", help="Những bản ghi mà dịch vụ không xử lý được.")
audit_log = App(name="audit-log", help="Nhật ký những việc của Ban Tổ chức.")
for group in (contest, demo, receipt, dlq, audit_log):
    app.command(group)


def main() -> None:
    """Runs a command; what a person can mend is told in a sentence, without a traceback."""
    try:
        app()
    except Refusal as refusal:
        _fail(refusal.text)
    except (StoreDown, BusDown, FileNotFoundError) as error:
        if isinstance(error, FileNotFoundError) and not str(error.filename).endswith("store.url"):
            raise
        _fail("Hệ thống chưa chạy: hãy khởi động bằng `make run`.\nThe system is not running: start it with `make run`.")
    except Problem as problem:
        _fail(problem.document("vi")["detail"])
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        _fail(f"Cấu hình không hợp lệ ({faults}).\nThe settings are not valid ({faults}).")


def _fail(text: str) -> None:
    print(text, file=sys.stderr)
    sys.exit(1)


def _installed() -> Settings:
    """The settings of an installation that is there. Raises Refusal: else a command would make keys that nothing else knows."""
    settings = Settings()
    if not (settings.data_dir / "secrets").is_dir():
        where = settings.data_dir.resolve()
        raise Refusal(
            f"Không có bản cài đặt nào ở {where} (đặt DATA_DIR).", f"There is no installation at {where} (set DATA_DIR)."
        )
    return settings


def _in_house(settings: Settings, work: Callable[[House], Awaitable[T]]) -> T:
    from deploy.local.wiring import House

    async def run() -> T:
        house = House(settings)
        try:
            return await work(house)
        finally:
            await house.close()

    return asyncio.run(run())


@app.command(help="Chạy toàn bộ hệ thống trên máy này cho đến khi bấm Ctrl-C.")
def up() -> int:
    from deploy.local.up import up as run

    return run(Settings())


@app.command(help="Chạy máy chủ web của các dịch vụ (mặc định: tất cả).")
def serve(*services: Service) -> int:
    from deploy.local.processes import serve as run

    return run(Settings(), services, os.environ.get("HOITHI_PROCESS"))


@app.command(help="Chạy tiến trình xử lý sự kiện của một dịch vụ.")
def work(service: Service) -> int:
    from deploy.local.processes import work as run

    return run(Settings(), service, os.environ.get("HOITHI_PROCESS"))


@app.command(help="Chuyển những gì máy này đã ghi sang Kafka.")
def relay() -> int:
    from deploy.local.processes import relay as run

    return run(Settings(), os.environ.get("HOITHI_PROCESS"))


@contest.command(help="Nạp một cuộc thi từ thư mục có contest.yaml, questions.csv, units.csv; xem docs/units.md.")
def load(directory: Path) -> int:
    from deploy.local.loading import load as run
    from services.kit.faults import FaultsFound

    try:
        id, headcounts = _in_house(Settings(), lambda house: run(house, directory))
    except FaultsFound as errors:
        print(errors, file=sys.stderr)
        return 1
    terminal.print(f"Đã nạp cuộc thi {id}{f', {headcounts} số liệu thuộc diện' if headcounts else ''}.")
    return 0


@app.command(help="In lại đường dẫn quản trị.")
def admin_link() -> None:
    from deploy.local.up import admin_link as link

    print(link(_installed()))


@demo.command(help="Xoá sạch dữ liệu của bản cài đặt này, sau khi hỏi lại.")
def reset(*, yes: Annotated[bool, Parameter(negative=(), help="Không hỏi lại.")] = False) -> int:
    from deploy.local.folders import KEPT, only_one

    settings = Settings()
    if not settings.data_dir.exists():
        terminal.print("Chưa có dữ liệu nào.")
        return 0
    with only_one(settings):
        question = f"Xoá toàn bộ bài thi, người dự thi và khoá bí mật trong {settings.data_dir.resolve()}? Gõ 'xoa' để xoá: "
        if not yes and input(question).strip().lower() not in {"xoa", "xoá", "xóa"}:
            terminal.print("Không xoá gì.")
            return 1
        for folder in KEPT:
            shutil.rmtree(settings.data_dir / folder, ignore_errors=True)
    terminal.print("Đã xoá.")
    return 0


@app.command(help="Đối soát: đã nhận = đã nộp = đã chấm, và hợp lệ = đã tính; nêu tên từng bài lệch.")
def audit(round: str | None = None, *, wait: Annotated[float, Parameter(help="Số giây chờ xử lý xong.")] = 30) -> int:
    from deploy.local.audit import audit as run

    rounds = _in_house(Settings(), lambda house: run(house, round, wait))
    faults = 0
    for name, found in rounds.items():
        terminal.print(f"{name}: {found.summary()}")
        for attempt, what in found.differences():
            faults += 1
            # A line each, however long: a table would cut the names off in a narrow terminal.
            terminal.print(f"  {attempt}  {what}")
    if not rounds:
        terminal.print("Chưa có bài thi nào.")
    if faults:
        terminal.print(f"[red]{faults} chỗ lệch.[/]")
    return 1 if faults else 0


@app.command(help="Kể lại đường đi của một bài thi qua các dịch vụ.")
def trace(attempt: str) -> int:
    from deploy.local.trace import trace as run

    if attempt.count(":") != 2:
        raise Refusal(f"Mã bài thi không đúng dạng: {attempt}.", "An attempt is participant:round:number.")
    steps = _in_house(Settings(), lambda house: run(house, attempt))
    for step in steps:
        details = "  ".join(f"{name}={value}" for name, value in step.details.items())
        at = f"{step.at:%Y-%m-%d %H:%M:%S.%f%z}" if step.at else "-"
        terminal.print(f"{at:<31}  {step.service:<10} {step.what:<22} {details}")
    if not steps:
        terminal.print(f"Không có bài thi nào mang mã {attempt}.")
    return 0 if steps else 1


@app.command(help="Mỗi nhóm xử lý còn chậm bao nhiêu so với từng chủ đề.")
def lag() -> None:
    from deploy.local.lag import lags

    for each in _in_house(Settings(), lags):
        terminal.print(f"{each.group:<12} {each.topic:<14} {each.behind:>10}  ({each.partitions} phân vùng)")


@app.command(help="Dựng lại số liệu của một dịch vụ từ các chủ đề, rồi thay vào số liệu đang dùng.")
def replay(
    service: Literal["scoring", "reporting"],
    *,
    start: Annotated[
        Literal["beginning", "snapshot"], Parameter(name="--from", help="Từ đầu, hay từ bản lưu gần nhất.")
    ] = "beginning",
) -> None:
    from deploy.local.replay import replay as run

    count = _in_house(Settings(), lambda house: run(house, service, anew=start == "beginning"))
    terminal.print(f"Đã dựng lại {service} từ {count} bản ghi.")


@app.command(help="Cho những tiến trình xử lý đã tự dừng vì quá nhiều bản ghi lỗi chạy tiếp.")
def resume() -> None:
    from deploy.local.processes import resume as run

    names = run(Settings())
    terminal.print(f"Đã báo chạy tiếp: {', '.join(names) or 'không có tiến trình nào'}.")


@dlq.command(name="list", help="Liệt kê: tất cả chủ đề, hoặc từng bản ghi của một chủ đề.")
def list_letters(topic: str | None = None) -> None:
    from deploy.local.letters import listing, overview

    terminal.print(_in_house(Settings(), lambda house: listing(house, topic) if topic else overview(house)))


@dlq.command(name="show", help="Xem trọn một bản ghi; vị trí là phân-vùng/số-thứ-tự.")
def show_letter(topic: str, place: str) -> None:
    from deploy.local.letters import show

    print(_in_house(Settings(), lambda house: show(house, topic, place)))


@dlq.command(name="retry", help="Gửi lại những bản ghi đã nêu, hoặc tất cả những bản ghi đang chờ của chủ đề.")
def retry_letters(
    topic: str, *places: str, body: Annotated[Path | None, Parameter(help="Tệp có nội dung đã sửa, cho một bản ghi.")] = None
) -> None:
    from deploy.local.letters import send_again

    if body and len(places) != 1:
        raise Refusal("Nội dung đã sửa chỉ dành cho đúng một bản ghi.", "A mended body is for exactly one letter.")
    mended = body.read_bytes() if body else None
    sent = _in_house(Settings(), lambda house: send_again(house, topic, places, mended))
    terminal.print(f"Đã gửi lại {sent} bản ghi.")


@receipt.command(help="Kiểm tra một biên nhận (nguyên văn hoặc tệp), chỉ với khoá công khai.")
def verify(
    text: Annotated[str, Parameter(name="RECEIPT")],
    *,
    key: Annotated[str | None, Parameter(help="Khoá công khai; mặc định: khoá của bản cài đặt này.")] = None,
) -> int:
    from services.kit.notary import Notary
    from services.kit.security import BadToken, Secrets, unb64
    from services.quiz.receipts import BadReceipt, check

    given = Path(text).read_text() if len(text) < 256 and Path(text).is_file() else text
    try:
        public = unb64(key) if key else Notary(Secrets(_installed().data_dir / "secrets").get("receipt.key")).public_key
        report = check(given, public)
    except (BadReceipt, BadToken, ValueError) as error:
        raise Refusal("Đây không phải là biên nhận (hoặc khoá) hợp lệ.", f"This is no receipt (or no key): {error}.") from error
    print(f"Bài thi    {report.attempt}\nNhận lúc   {report.received_at.isoformat()}\nMã băm     {report.digest}")
    print("Biên nhận hợp lệ." if report.valid else report.reason)
    return 0 if report.valid else 1


@audit_log.command(name="verify", help="Kiểm tra nhật ký: không mục nào bị sửa, xoá, chèn hay cắt.")
def verify_audit_log(
    *, head: Annotated[str | None, Parameter(help="Mục cuối đã ghi lại ở nơi khác, dạng số:mã-băm.")] = None
) -> int:
    from deploy.local.audit_log import verify as run

    verdict = _in_house(_installed(), lambda house: run(house.audit_log, head))
    terminal.print(verdict.text)
    return 0 if verdict.whole else 1


@audit_log.command(name="show", help="In các mục cuối của nhật ký.")
def show_audit_log(count: int = 50) -> None:
    from deploy.local.audit_log import show as run

    for line in _in_house(_installed(), lambda house: run(house.audit_log, count)):
        terminal.print(line, markup=False)


@app.command(help="In phiên bản.")
def version() -> None:
    print(app.version)
