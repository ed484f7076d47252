"""The report's wording, in English and Japanese. Whatever stands here is ours and needs no escaping;
what comes from a record goes through the `shown` that is handed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from recorderd.evidence.part import LedgerPart

    Shown = Callable[[object], str]


def _ja(text: str) -> str:
    return f'<span lang="ja">{text}</span>'


DIRECTIONS = {
    "inbound": ("Inbound call", "着信"),
    "outbound": ("Outbound call", "発信"),
    "unknown": ("Call", "通話"),
}


def direction(record: dict[str, Any]) -> str:
    return DIRECTIONS.get(record["direction"], DIRECTIONS["unknown"])[0]


def direction_ja(record: dict[str, Any]) -> str:
    return DIRECTIONS.get(record["direction"], DIRECTIONS["unknown"])[1]


ABSENCES = {
    "private": "withheld 非通知",
    "out-of-area": "out of area 表示圏外",
    "payphone": "payphone 公衆電話",
    "unavailable": "not available 取得不可",
}


def absence(reason: str | None) -> str:
    return ABSENCES.get(reason or "", "not known 不明")


def length(seconds: float | None) -> str:
    if seconds is None:
        return "not known 不明"
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)} min {rest:06.3f} s"


OUTCOMES = {
    "recorded": "recorded 録音あり",
    "missed": "missed 不在着信",
    "not-recorded": "not recorded 録音なし",
}


def outcome(record: dict[str, Any], shown: Shown) -> str:
    text = OUTCOMES.get(record["disposition"], shown(record["disposition"]))
    return text + (f"<br><small>{shown(record['reason'])}</small>" if record["reason"] else "")


def notice(said: dict[str, Any], record: dict[str, Any], shown: Shown) -> str:
    rate_hz = record["audio"]["sample_rate_hz"] if record["audio"] else None
    lines = [shown(said["clip"])]
    if said["started_frame"] is not None and rate_hz:
        at, lasted = said["started_frame"] / rate_hz, said["frames"] / rate_hz
        lines.append(f"from {at:.2f} s, {lasted:.2f} s {_ja(f'{at:.2f}秒から{lasted:.2f}秒間')}")
    done = "to its end 最後まで再生" if said["completed"] else "broken off 途中で中断"
    reason = record["notice_reason"]
    lines.append(done + (f": {shown(reason)}" if reason and not said["completed"] else ""))
    lines.append(HEARD[said["heard"]])
    if said.get("heard_frame") is not None and rate_hz:
        share, at = said["completeness"], said["heard_frame"] / rate_hz
        lines.append(f"{share:.0%} of it, from {at:.2f} s, at {said['level_dbm0']:.0f} dBm0")
    return f"{lines[0]}<br><small>{'<br>'.join(lines[1:])}</small>"


HEARD = {
    True: "heard on the line 回線上で確認",
    "partly": "only partly heard on the line 回線上で一部のみ確認",
    False: "NOT heard on the line 回線上で確認できず",
    None: "not listened for 確認なし",
}


def clock(record: dict[str, Any], shown: Shown) -> str:
    """Whether times can be trusted, and what else is known of them."""
    state = record["clock"]
    if state["synchronised"]:
        lines = ["synchronised 同期済み", shown(state["source"])]
    else:
        lines = ["<b>not synchronised 未同期</b>", shown(state["source"])]
        lines.append("times may be wrong 時刻は不正確な場合あり")
    if state.get("moved_by_s") is not None:
        lines.append(f"times corrected by {state['moved_by_s']:+,.3f} s 補正済み")
    if state.get("caller_id_offset_s") is not None:
        lines.append(
            f"the exchange's clock differed by {state['caller_id_offset_s']:+,} s 交換機との差"
        )
    return f"{lines[0]}<br><small>{'<br>'.join(lines[1:])}</small>"


CAUSES = {
    "overrun": "the sound card dropped samples 音声デバイスの取りこぼし",
    "card-lost": "the sound card was gone 音声デバイスの切断",
    "card-stalled": "the sound card stood still 音声デバイスの停止",
    "writer-late": "the recorder was too slow 書き込みの遅れ",
    "write-failed": "the disk refused it ディスク書き込みの失敗",
    "cut": "the recorder stopped (power, crash) 録音装置の停止",
}


def gap_cause(cause: str, shown: Shown) -> str:
    return CAUSES.get(cause, shown(cause))


LEGEND = (
    ("off-hook", "handset lifted", "受話器を上げた"),
    ("on-hook", "hung up", "受話器を置いた"),
    ("flash", "hook flash", "フッキング"),
    ("notice", "notice playing", "録音告知の再生"),
    ("gap", "gap (silence)", "欠落(無音)"),
    ("mask", "masked", "マスク"),
    ("border", "segment border", "ファイルの境目"),
)
SIGNS = {"off-hook": "▲", "on-hook": "▼", "flash": "◆"}

NO_PICTURE = "No sound to show. " + _ja("表示できる音声はありません。")
SEALED = (
    "The sound is sealed, and was not opened for this bundle; README.txt says how a supervisor opens "
    "it. " + _ja("音声は暗号化されています。復号の方法は README.txt にあります。")
)
NO_SOUND = "This call has no sound. " + _ja("この通話に音声はありません。")
NO_GAPS = "None: every sample from the first to the last was kept. " + _ja(
    "なし。最初から最後まで全サンプルが保存されています。"
)
CUT = (
    "The recorder stopped in mid-call (power cut or crash); what follows was never recorded. "
    + _ja("通話中に録音装置が停止しました(停電または障害)。以後は録音されていません。")
)
TOO_LONG = (
    "There is no joined.wav: the sound is longer than a WAV file can be (4 GiB). The segments are "
    "complete. "
    + _ja("joined.wav はありません(WAV の上限 4 GiB を超えるため)。音声ファイルは完全です。")
)

KINDS = {
    "call-opened": "recording began 録音開始",
    "call-abandoned": "no recording: not a call, or not to be kept 録音の取消",
    "call-closed": "call closed and filed 通話の記録を確定",
    "record-amended": "record amended 記録の補正",
    "hold": "legal hold set 保全指定",
    "release": "legal hold released 保全解除",
    "exported": "exported 書き出し",
    "call-erased": "erased 消去",
}
THIS_EXPORT = "this export 今回の書き出し"


def ledger(part: LedgerPart, shown: Shown) -> str:
    """Where the call stands in the ledger, and who signed behind it."""
    closed = [entry.seq for entry in part.entries if entry.kind == "call-closed"]
    if part.checkpoint is None:
        return (
            f"entry {closed[-1]}; <b>not signed yet</b>: export again after the recorder's next "
            f"checkpoint {_ja('まだ署名されていません')}"
        )
    at = shown(part.checkpoint.note.at)
    text = f"closed in entry {closed[-1]}, signed in entry {part.checkpoint.seq} at {at} " + _ja(
        f"第{closed[-1]}項で確定、第{part.checkpoint.seq}項で署名"
    )
    if part.stamp:
        text += f"<br>outside time stamp (RFC 3161) on entry {part.stamp.seq} " + _ja(
            f"第{part.stamp.seq}項に外部タイムスタンプあり"
        )
    return text


PROVEN = (
    "Every file here is, byte for byte, the one that was signed with the key of this fingerprint.",
    (
        "The recorder had closed this call with this very record, and signed that, before the bundle "
        "was made; the record names the hash of each segment and of its sound."
    ),
    "Each channel has its own party: near is ours, far is the line.",
)
PROVEN_JA = (
    "すべてのファイルは、この鍵で署名されたものと一字一句同じです。",
    (
        "録音装置は、この書き出しより前に、この記録の内容でこの通話を確定し、署名しています。記録には各音声ファイルと"
        "音声そのもののハッシュ値が含まれます。"
    ),
    "チャンネルは話者ごとに分かれています(near は自分側、far は相手側)。",
)
_NOT = (
    "That the key is the recorder's: compare its fingerprint with the one noted at installation.",
    "Who spoke, or that what was said is true.",
    "That there was no other call: only a check of the whole store shows that.",
    "Anything against somebody who had both the device's key and the box in hand.",
)
_NOT_JA = (
    "鍵が録音装置のものであること(設置時に控えた指紋と照合してください)。",
    "話者が誰であるか、話の内容が真実であるか。",
    "他に通話がなかったこと(保存領域全体の検査が必要です)。",
    "装置の鍵と装置本体の両方を手にした者による作り直しがなかったこと。",
)
_TIME = "The time, beyond the state of the clock given above: no outside time stamp is at hand."
_TIME_JA = "上記の時計の状態を超える時刻の正しさ(外部タイムスタンプなし)。"


def not_proven(*, has_stamp: bool) -> tuple[str, ...]:
    return _NOT if has_stamp else (*_NOT, _TIME)


def not_proven_ja(*, has_stamp: bool) -> tuple[str, ...]:
    return _NOT_JA if has_stamp else (*_NOT_JA, _TIME_JA)
