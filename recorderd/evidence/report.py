"""The report in a bundle: one page that needs nothing else, in Japanese and English, for A4.

Names and numbers come from the telephone line: every one goes through `shown`. The page has no script
and asks for no other resource, and says so to the browser.
"""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any

from recorderd.evidence import words
from recorderd.evidence.picture import full_scale_of, picture
from recorderd.evidence.sound import is_sealed
from recorderd.evidence.style import STYLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from recorderd.core.chain import Entry
    from recorderd.evidence.part import LedgerPart
    from recorderd.evidence.waveform import Waveform

GAPS_LISTED_MAX = 40
CUSTODY_LISTED_MAX = 30

POLICY = "default-src 'none'; style-src 'unsafe-inline'"


@dataclass(frozen=True, slots=True)
class CallReport:
    """What the page tells of one call. `waveform` is None where there is no sound to show."""

    record: dict[str, Any]
    part: LedgerPart
    custody: Sequence[Entry]
    waveform: Waveform | None
    has_joined: bool
    fingerprint: str
    who: str
    at: str


def report_page(report: CallReport) -> str:
    """The whole page."""
    return "\n".join(_page(report)) + "\n"


def shown(text: object) -> str:
    """A text from outside for the page: escaped, and what would not be seen, or turn the direction
    of writing, made visible."""
    return escape("".join(map(_visible, str(text))))


def _visible(character: str) -> str:
    if unicodedata.category(character) in {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}:
        return f"\\u{{{ord(character):x}}}"
    return character


def _page(report: CallReport) -> Iterator[str]:
    record = report.record
    title = f"{shown(record['id'])} · {shown(record['site'])}"
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<meta name="color-scheme" content="light dark">'
    yield f"<title>recorderd · {title}</title>\n<style>{STYLE}</style>\n</head>\n<body>"
    yield from _head(report)
    yield from _picture(report)
    yield from _remarks(report)
    yield from _segments(report)
    yield from _custody(report)
    yield from _proofs(report)
    yield "</body>\n</html>"


def _head(report: CallReport) -> Iterator[str]:
    record = report.record
    yield '<header><div><p class="kind">Evidence report <span lang="ja">証拠報告書</span></p>'
    yield f"<h1>{words.direction(record)} <span lang='ja'>{words.direction_ja(record)}</span></h1></div>"
    yield f'<p class="id">{shown(record["id"])}<br>{shown(record["site"])}</p></header>'
    if record["source"] == "sim":
        yield (
            '<p class="warning">Simulated: this call never took place. '
            '<span lang="ja">シミュレーションです。実際の通話ではありません。</span></p>'
        )
    yield '<dl class="facts">'
    for english, japanese, value in _facts(report):
        yield (f'<div><dt>{english} <span lang="ja">{japanese}</span></dt><dd>{value}</dd></div>')
    yield "</dl>"


def _facts(report: CallReport) -> Iterator[tuple[str, str, str]]:
    record = report.record
    yield "Other party", "相手", _party(record)
    yield "Line", "回線", shown(record["line"])
    yield "Began", "開始", _time(record["started_at"])
    yield "Answered", "応答", _time(record["answered_at"])
    yield "Ended", "終了", _time(record["ended_at"])
    yield "Length", "通話時間", words.length(record["duration_s"])
    yield "Outcome", "結果", words.outcome(record, shown)
    yield "Notice", "録音告知", _notice(record)
    yield "Clock", "時計", words.clock(record, shown)


def _party(record: dict[str, Any]) -> str:
    if is_sealed(record):
        return "sealed 暗号化"
    if record["direction"] == "outbound":
        return shown(record["dialled"]) if record["dialled"] else "— <small>番号不明</small>"
    caller = record["caller"] or {}
    known = [shown(caller[key]) for key in ("number", "name") if caller.get(key)]
    return " ".join(known) or words.absence(caller.get("absence"))


def _time(text: str | None) -> str:
    if text is None:
        return "—"
    date, _, rest = text.partition("T")
    return f"{shown(date)} <b>{shown(rest[:12])}</b> <small>{shown(rest[12:])}</small>"


def _notice(record: dict[str, Any]) -> str:
    notice = record["notice"]
    if notice is None:
        reason = record["notice_reason"]
        return "none なし" + (f"<br><small>{shown(reason)}</small>" if reason else "")
    return words.notice(notice, record, shown)


# ---------------------------------------------------------------- the picture


def _picture(report: CallReport) -> Iterator[str]:
    record = report.record
    yield '<section><h2>Waveform <span lang="ja">波形</span></h2>'
    if report.waveform is None:
        yield f"<p>{words.SEALED if is_sealed(record) else words.NO_PICTURE}</p></section>"
        return
    yield picture(record, report.waveform)
    yield '<ul class="legend">'
    seen = _marks_in(record)
    for kind, english, japanese in words.LEGEND:
        if kind not in seen:
            continue
        yield f'<li><i class="key {kind}">{words.SIGNS.get(kind, "")}</i>{english} <span lang="ja">{japanese}</span></li>'
    yield "</ul>"
    full_dbfs = 20 * math.log10(full_scale_of(report.waveform))
    audio = record["audio"]
    before = min(audio["pre_roll_frames"], audio["frames"])  # a cut may have left less than that
    yield (
        f'<p class="note">{audio["frames"]:,} frames at {audio["sample_rate_hz"]:,} Hz, of which '
        f"{before:,} lie before the handset was lifted. Edge of a lane: "
        f'{full_dbfs:.1f} dBFS, the same for both. <span lang="ja">全{audio["frames"]:,}フレーム、'
        f"うち{before:,}フレームは受話器を上げる前。枠の端は"
        f"{full_dbfs:.1f} dBFS(両側共通)。</span></p></section>"
    )


def _marks_in(record: dict[str, Any]) -> set[str]:
    """The kinds of mark that the picture of this call has."""
    notice = record["notice"]
    found = {
        "on-hook": record["ended_at"] is not None,
        "flash": record["flashes"],
        "notice": notice and notice["started_frame"] is not None,
        "gap": record["gaps"],
        "mask": record["masked"],
        "border": len(record["segments"]) > 1,
    }
    return {"off-hook", *(kind for kind, is_there in found.items() if is_there)}


def _remarks(report: CallReport) -> Iterator[str]:
    """Gaps and masked passages, and what else is not as it should be, in words."""
    record = report.record
    rows = [(gap, "Gap", "欠落", words.gap_cause(gap["cause"], shown)) for gap in record["gaps"]]
    rows += [(mask, "Masked", "マスク", shown(mask["reason"])) for mask in record["masked"]]
    yield '<section><h2>Gaps and masks <span lang="ja">欠落とマスク</span></h2>'
    if record["cut"]:
        yield f'<p class="warning">{words.CUT}</p>'
    if not rows:
        yield f"<p>{words.NO_GAPS if record['audio'] else words.NO_SOUND}</p></section>"
        return
    yield _table_head(("", ""), ("From", "開始"), ("Length", "長さ"), ("Cause", "原因"))
    for place, english, japanese, cause in rows[:GAPS_LISTED_MAX]:
        cells = (
            f'{english} <span lang="ja">{japanese}</span>',
            _seconds(record, place["first_frame"]),
            _seconds(record, place["frames"]),
            cause,
        )
        yield _row(cells)
    yield "</tbody></table>"
    if len(rows) > GAPS_LISTED_MAX:
        yield f"<p>{len(rows) - GAPS_LISTED_MAX} more: call.json lists them all. 他は call.json にあります。</p>"
    yield "</section>"


def _seconds(record: dict[str, Any], frames: int) -> str:
    return f"{frames / record['audio']['sample_rate_hz']:,.3f} s"


def _segments(report: CallReport) -> Iterator[str]:
    record = report.record
    if not record["segments"]:
        return
    yield '<section><h2>Segments <span lang="ja">音声ファイル</span></h2>'
    yield _table_head(
        ("File and SHA-256", "ファイルと SHA-256"), ("From", "開始"), ("Length", "長さ")
    )
    for segment in record["segments"]:
        cells = (
            (
                f'<span class="file">{shown(segment["file"])}</span>'
                f"<br><code>{shown(segment['sha256'])}</code>"
            ),
            _seconds(record, segment["first_frame"]),
            _seconds(record, segment["frames"]),
        )
        yield _row(cells)
    yield "</tbody></table>"
    if report.waveform is not None and not report.has_joined:
        yield f'<p class="note">{words.TOO_LONG}</p>'
    yield "</section>"


def _in_zone_of(record: dict[str, Any], at: str) -> str:
    """A time of the ledger, which is in UTC, as the call's own times are shown."""
    zone = datetime.fromisoformat(record["started_at"]).tzinfo
    return datetime.fromisoformat(at).astimezone(zone).isoformat(timespec="milliseconds")


def _custody(report: CallReport) -> Iterator[str]:
    yield '<section><h2>Custody <span lang="ja">取扱いの記録</span></h2>'
    yield _table_head(("When", "日時"), ("What", "内容"), ("Who", "担当"))
    for entry in report.part.entries:
        if entry.kind in words.KINDS:
            at = _time(_in_zone_of(report.record, entry.at))
            yield _row((at, words.KINDS[entry.kind], "recorderd"))
    known = list(report.custody)[-CUSTODY_LISTED_MAX:]
    for entry in known:
        what = words.KINDS.get(entry.kind, shown(entry.kind))
        why = entry.data.get("why")
        cells = (
            _time(_in_zone_of(report.record, entry.at)),
            what + (f": {shown(why)}" if why else ""),
            shown(entry.data.get("who") or "—"),
        )
        yield _row(cells)
    yield _row((_time(report.at), words.THIS_EXPORT, shown(report.who)))
    yield "</tbody></table></section>"


def _proofs(report: CallReport) -> Iterator[str]:
    part = report.part
    yield '<section class="proofs"><h2>What is proven <span lang="ja">証明されること・されないこと</span></h2>'
    yield '<dl class="keys">'
    yield (
        '<div><dt>Device key, SHA-256 <span lang="ja">装置の鍵</span></dt>'
        f"<dd><code>{shown(report.fingerprint)}</code></dd></div>"
    )
    yield (
        '<div><dt>Ledger <span lang="ja">台帳</span></dt>'
        f"<dd>{words.ledger(part, shown)}</dd></div></dl>"
    )
    yield '<div class="two"><div>'
    yield _list("Proven, where the four commands in README.txt succeed", words.PROVEN)
    yield _list("Not proven by this bundle", words.not_proven(has_stamp=part.stamp is not None))
    yield '</div><div lang="ja">'
    yield _list("README.txt の四つのコマンドが成功すれば証明されること", words.PROVEN_JA)
    yield _list(
        "この証拠一式だけでは証明されないこと",
        words.not_proven_ja(has_stamp=part.stamp is not None),
    )
    yield "</div></div></section>"


def _list(title: str, items: Iterable[str]) -> str:
    return f"<h3>{title}</h3><ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def _table_head(*names: tuple[str, str]) -> str:
    cells = "".join(
        f'<th>{english} <span lang="ja">{japanese}</span></th>' for english, japanese in names
    )
    return f"<table><thead><tr>{cells}</tr></thead><tbody>"


def _row(cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
