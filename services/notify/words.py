"""What the console calls things."""

from __future__ import annotations

STATE_NAMES: dict[str, str] = {
    "waiting": "Đang chờ gửi",
    "sending": "Đang gửi",
    "sent": "Đã gửi",
    "failed": "Không gửi được",
    "uncertain": "Chưa rõ đã đến hay chưa",
    "skipped": "Không gửi nữa",
}

CHANNEL_NAMES: dict[str, str] = {
    "email": "Thư điện tử",
    "sms": "Tin nhắn SMS",
    "zalo": "Zalo OA",
    "webhook": "Webhook",
}

PURPOSES: dict[str, str] = {"result": "Kết quả thi", "reminder": "Nhắc tham gia", "digest": "Bản tổng hợp"}

AUDIENCES: dict[str, str] = {
    "contacts": "Đầu mối của các đơn vị",
    "roster": "Người trong danh sách của đơn vị chưa dự thi",
    "people": "Người đã đăng ký nhưng chưa dự thi",
}

CAMPAIGN_STATES: dict[str, str] = {
    "draft": "Chờ xác nhận",
    "confirmed": "Đang chuẩn bị",
    "sending": "Đang gửi",
    "done": "Đã gửi xong",
    "cancelled": "Đã bỏ",
}

REASONS: dict[str, str] = {
    "no address": "chưa có địa chỉ",
    "opted out": "đã từ chối nhận",
    "cap": "đã đủ số lần nhắc",
    "gap": "vừa được nhắc gần đây",
    "took part": "đã dự thi",
    "too late": "đã hết thời gian dự thi",
    "cancelled": "đợt nhắc đã bỏ",
    "interrupted": "bị ngắt khi đang gửi",
    "given up": "không gửi lại",
    "erased": "người này đã xóa dữ liệu",
    "roster deleted": "danh sách đã xóa",
}

STANDINGS: dict[str, str] = {
    "took-part": "Đã dự thi",
    "maybe-took-part": "Có thể đã dự thi",
    "registered": "Đã đăng ký, chưa dự thi",
    "maybe-registered": "Có thể đã đăng ký, chưa dự thi",
    "unknown": "Chưa đăng ký",
}

ROSTER_HEADINGS = ("STT", "Họ và tên", "Mã", "Điện thoại", "Thư điện tử", "Tình trạng")

DIGESTS: dict[str, str] = {"day": "Tổng hợp ngày", "week": "Tổng hợp tuần"}

SUBJECT = "Đôn đốc tham gia {cuoc_thi}"
UNITS_TEXT = (
    "Kính gửi {don_vi},\n\n"
    "Đến {thoi_diem}, đơn vị {tinh_hinh}. Thời gian dự thi còn {con_lai}.\n\n"
    "Đề nghị đơn vị tiếp tục tuyên truyền, vận động cán bộ, đảng viên, đoàn viên, hội viên và Nhân dân tham gia {cuoc_thi} tại "
    "{lien_ket}.\n\nTrân trọng."
)
PEOPLE_TEXT = "Bạn chưa tham gia {cuoc_thi}. Thời gian còn {con_lai}. Mời bạn dự thi tại {lien_ket}"

# Parts of reminders, which are in Vietnamese alone: the words are the organiser's.
UNKNOWN = "chưa có số liệu"
WHOLE = "Cuộc thi"
DAYS, HOURS = "{days} ngày {hours} giờ", "{hours} giờ"
PEOPLE = "có {people} người{category} dự thi{round}"
TURNOUT = "có {people} người{category} dự thi{round} trên tổng số {headcount} người ({rate})"
OF_CATEGORY = " thuộc đối tượng {category}"
SILENT = "không có lượt thi nào trong {days} ngày"
OTHER_UNITS = "Các đơn vị khác cần đôn đốc:"
OTHERS = " (và {n} đơn vị khác)"
OPT_OUT_MAIL = "Nếu không muốn nhận thư nhắc nữa, xin mở: {link}"
OPT_OUT_SMS = " Từ chối: {link}"
