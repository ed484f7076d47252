"""Checks and findings in the words of people, in English and Japanese."""

from __future__ import annotations

from typing import NamedTuple


class Word(NamedTuple):
    english: str
    japanese: str


CHECKS = {
    "config": Word("Configuration", "設定"),
    "clock": Word("Clock", "時計"),
    "power": Word("Power supply", "電源"),
    "disk": Word("Disk", "ディスク"),
    "verify": Word("Last calls proven", "直近の通話の検証"),
    "archive": Word("Archive", "アーカイブ"),
    "card": Word("Sound card", "サウンドカード"),
    "sensor": Word("Sensor", "センサー"),
    "modem": Word("Modem", "モデム"),
    "hook": Word("Hook sensor", "フックセンサー"),
    "ring": Word("Ring detector", "着信検出"),
    "caller-id": Word("Caller ID", "発信者番号"),
    "channels": Word("Channels", "チャンネル"),
    "sound": Word("Sound", "音声"),
    "announcement": Word("Announcement", "録音告知"),
    "dialling": Word("Call out", "発信"),
    "country": Word("Country", "国"),
    "file": Word("File of a call", "録音ファイル"),
    "recorder": Word("Recorder", "録音プログラム"),
    "upload": Word("Uploader", "アップロード"),
}

VERDICTS = {
    "ok": Word("good", "良"),
    "wrong": Word("found", "要対処"),
    "skipped": Word("not looked at", "未実施"),
}

UNITS = {
    "_ms": "ms",
    "_s": "s",
    "_hz": "Hz",
    "_db": "dB",
    "_dbm0": "dBm0",
    "_mb": "MB",
    "_kb_s": "kB/s",
}


VALUES_JA = {
    "absence": "番号なしの理由",
    "alarms": "警報",
    "bounce": "バウンス",
    "bursts": "呼出回数",
    "by": "ダイヤル方式",
    "bytes": "バイト数",
    "cadence": "呼出の断続",
    "caller_id_command": "番号通知の命令",
    "caller_id_standard": "番号通知方式",
    "calls": "通話数",
    "completeness": "聞こえた割合",
    "configured": "設定値",
    "copy": "左右同一の度合い",
    "counted": "実測周波数",
    "crosstalk_to_far": "相手側への漏話",
    "crosstalk_to_near": "手前側への漏話",
    "detail": "詳細",
    "dial": "発信音",
    "digits": "桁数",
    "errors": "エラー数",
    "exchange_ahead": "局の時計との差",
    "far": "相手側の音量",
    "far_active": "相手側の声",
    "far_clipped": "相手側のクリップ",
    "far_hum": "相手側のハム",
    "far_noise": "相手側の雑音",
    "far_peak_share": "相手側の最大振幅",
    "far_speaks_far": "相手の声、相手側",
    "far_speaks_near": "相手の声、手前側",
    "fits": "合う国",
    "free": "空き容量",
    "heard": "聞こえた",
    "identity": "機種",
    "idle_level": "待機時のレベル",
    "level": "音量",
    "lifted": "受話器を上げた時間",
    "locked_until": "ロック期限",
    "model": "型式",
    "modem_rings": "モデムの呼出数",
    "moves": "動作回数",
    "near": "手前側の音量",
    "near_active": "手前側の声",
    "near_clipped": "手前側のクリップ",
    "near_hum": "手前側のハム",
    "near_level": "手前側の音量",
    "near_noise": "手前側の雑音",
    "near_peak_share": "手前側の最大振幅",
    "near_speaks_far": "自分の声、相手側",
    "near_speaks_near": "自分の声、手前側",
    "needed": "必要な速度",
    "not_heard": "聞こえず",
    "now": "現在",
    "number": "番号",
    "partly": "一部のみ",
    "path": "ファイル",
    "rate": "設定周波数",
    "read_back": "読み戻し一致",
    "refuses_overwrite": "上書き拒否",
    "ring": "呼出周波数",
    "score": "一致度",
    "seconds": "秒数",
    "since_boot": "起動後",
    "source": "時刻源",
    "sync_median": "書込確定、中央値",
    "sync_worst": "書込確定、最大",
    "synchronised": "同期",
    "throttled": "制限フラグ",
    "time": "時刻",
    "took": "所要時間",
    "url": "保存先",
    "user": "ユーザー",
    "verdict": "判定",
    "waiting": "送信待ち",
    "worn_share": "消耗率",
    "write": "書込速度",
    "wrong": "異常な通話",
}
"""Of measured values, by their names without the unit."""


SKIPPED_JA = {
    "a call is being recorded, and the disk is its alone": "通話を録音中のため",
    "calls are sealed here, and no sound goes to the disk in plain": "封印設定のため",
    "it was lifted after the first ring, and a number may come after that: call again": "一回目の呼出で応答したため。かけ直す。",
    "nobody could call": "電話をかけられる人がいなかった",
    "nobody lifted the handset": "受話器が上がらなかった",
    "nothing has been recorded yet": "録音がまだない",
    "the line was in use": "回線が使用中",
    "the modem must answer first": "モデムの応答が先に必要",
    "there is no [archive] in the configuration": "設定に [archive] がない",
    "there is no sound": "音声がない",
    "there must be a hook sensor that works": "動作するフックセンサーが必要",
    "this box tells nothing of its supply": "この装置は電源の状態を示さない",
    "this line has no sensor: its sound is its hook": "センサーのない回線(音声で判定)",
}
"""Why a check was not made. What a file or a device said for itself stays as it is."""


def label(name: str) -> str:
    """The name of a measured value, with its unit apart: `bounce_ms` is `bounce [ms]`."""
    stem, unit = _parted(name)
    english = stem.replace("_", " ")
    return f"{english} [{unit}]" if unit else english


def label_ja(name: str) -> str:
    """The name of a measured value in Japanese, without its unit."""
    return VALUES_JA.get(_parted(name)[0], "")


def _parted(name: str) -> tuple[str, str]:
    for ending in sorted(UNITS, key=len, reverse=True):
        if name.endswith(ending):
            return name.removesuffix(ending), UNITS[ending]
    return name, ""


def sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:]}."


_SIDES = {"near": "手前側(自分側)", "far": "相手側(回線側)"}
_OF_A_SIDE = {
    "unheard": "話者の声がどちらのチャンネルにも聞こえない。配線と入力を確認。",
    "muted": "チャンネルがまったくの無音。ミュートの解除と near_channel / far_channel を確認。",
    "dead": "チャンネルに何も入っていない。ケーブル、入力の選択、ゲインを確認。",
    "clipped": "チャンネルの音が歪んでいる(クリップ)。入力ゲインを下げる。",
    "offset": "チャンネルに直流が乗っている。トランスかコンデンサーを入れる。",
    "hum": "チャンネルに電源ハムが入っている。トランスで絶縁し、電源線から離す。",
    "noise": "チャンネルの雑音が大きい。ライン入力を使い、ブーストと自動ゲインを切る。",
    "quiet": "チャンネルの声が小さすぎる。入力ゲインを上げる。",
    "loud": "チャンネルの声が大きすぎる。入力ゲインを下げる。",
}

FINDINGS_JA = {
    "hook-missing": "フックセンサーのピンが読めない。設定 line.hook を確認。",
    "hook-chatter": "フックセンサーが頻繁に変化する。配線の緩みとプルアップ抵抗を確認。",
    "hook-inverted": "フックセンサーの極性が逆。line.hook.active を変える。",
    "hook-stuck": "受話器を置いてもオフフックのまま変化しない。短絡、ピン番号、プル抵抗を確認。",
    "hook-open": "受話器を上げてもフックセンサーが動かない。断線かピン番号の誤り。",
    "hook-elsewhere": "別の回線のフックセンサーが動いた。両回線の line.hook.pin を入れ替える。",
    "hook-not-replaced": "受話器を戻してもオフフックのまま。受話器の置き方とセンサーを確認。",
    "hook-bounce": "フック接点のチャタリングが長い。接点を清掃または交換する。",
    "ring-noise": "着信がないのに着信検出が反応する。ピンと配線を確認。",
    "ring-inverted": "着信検出の極性が逆。line.ring.active を変える。",
    "ring-open": "鳴動したのに着信検出が反応しない。断線かピン番号の誤り。",
    "ring-elsewhere": "別の回線の着信検出が反応した。両回線の line.ring.pin を入れ替える。",
    "ring-none": "着信がなかった。もう一度かけ、電話機も鳴らなければ電話会社に確認。",
    "modem-missing": "モデムのポートが開けない。接続と line.modem.port を確認。",
    "modem-dead": "モデムが応答しない。電源とケーブルを確認。",
    "modem-babbles": "ポートの機器が AT に応答しない。ポートと通信速度を確認。",
    "modem-no-caller-id": "モデムが発信者番号に対応していない。対応機種に替える。",
    "modem-off-line": "鳴動をモデムが検知していない。モデムを同じ回線につなぐ。",
    "modem-elsewhere": "別の回線のモデムが鳴動を検知した。両回線の line.modem.port を入れ替える。",
    "caller-id-missing": "発信者番号が届かない。ナンバー・ディスプレイの契約を確認。",
    "caller-id-wrong": "通知された番号が発信元と違う。モデムか PBX を確認。",
    "country-wrong": "設定された国の回線ではない。site.country を確認。",
    "channels-swapped": "両チャンネルが入れ替わっている。near_channel と far_channel を入れ替える。",
    "channels-doubtful": "声とダイヤル音の結果が食い違う。こちら側から先に話して、もう一度確認。",
    "copy": "両チャンネルが同じ音(モノラル入力)。ステレオのライン入力を使う。",
    "inverted": "一方が他方の逆相。各側に別々の入力を使う。",
    "crosstalk-to-near": "相手側の音が手前側に漏れている。配線とシールドを確認。",
    "crosstalk-to-far": "手前側の音が相手側に漏れている。配線とシールドを確認。",
    **{
        f"{side}-{what}": f"{name}の{text}"
        for side, name in _SIDES.items()
        for what, text in _OF_A_SIDE.items()
    },
    "clip-failed": "告知音声を再生できない。output_device を確認。",
    "clip-unfit": "告知音声の照合ができない。人の声が入った音声に替える。",
    "clip-silent": "告知が再生されたが回線に聞こえない。出力の配線とミュートを確認。",
    "clip-partly": "告知が一部しか聞こえない。delay_ms を大きくする。",
    "digits-missing": "ダイヤルした数字を検出できない。ゆっくり押し、手前側の音量を確認。",
    "digits-wrong": "検出した数字がダイヤルと違う。もう一度試し、雑音と音量を確認。",
    "dial-tone-missing": "発信音が聞こえない。相手側の配線を確認。",
    "disk-slow": "ディスクが遅い。A1 以上のカードか USB SSD を使う。",
    "disk-full": "ディスクの空きが足りない。空きを作るか保存日数を減らす。",
    "disk-errors": "ファイルシステムに誤りの記録がある。fsck で調べ、交換する。",
    "disk-worn": "記憶素子の寿命。写しを取り、交換する。",
    "disk-unwritable": "保存先に書き込めない。マウントと権限を確認。",
    "clock-off": "時計が合っていない。site.time_zone と時計を確認。",
    "clock-free": "時計が同期していない。時刻サーバーか時計モジュールを使う。",
    "power-low": "電源電圧が低い。純正の電源と短いケーブルを使う。",
    "power-was-low": "起動後に電源電圧が低下した。純正の電源と短いケーブルを使う。",
    "hot": "高温で速度が制限された。通風か放熱器が要る。",
    "config-wrong": "設定に誤りがあり、録音プログラムが起動しない。recorderd check を実行。",
    "config-unreadable": "録音プログラムの利用者がファイルを読めない。所有者と権限を直す。",
    "card-missing": "サウンドカードがない。接続と line.audio.device を確認。",
    "card-refuses": "サウンドカードはあるが開けない。表示された内容に従って直す。",
    "card-rate": "サウンドカードの標本化周波数が違う。capture_rate_hz と USB を確認。",
    "sensor-missing": "センサーのピンが開けない。設定と権限を確認。",
    "file-failed": "録音ファイルを書けない。ディスクを確認。",
    "file-differs": "書いたものと読んだものが違う。カードを交換する。",
    "verify-failed": "検証ができない。recorderd verify --all を実行。",
    "call-altered": "通話が記録どおりでない。recorderd verify --all を実行。",
    "archive-refuses": "アーカイブが拒否する。表示された内容に従って直す。",
    "archive-unreachable": "アーカイブに届かない。ネットワークと設定を確認。",
    "archive-overwrites": "アーカイブが上書きを許す。If-None-Match に対応したサービスを使う。",
    "archive-differs": "アーカイブから返る内容が違う。verify --archive --all を実行。",
    "archive-unlocked": "アーカイブがロックしない。オブジェクトロックを有効にする。",
    "recorder-stopped": "録音プログラムが動いていない。起動する。",
    "recorder-alarm": "録音プログラムが警報を出している。recorderd status を見る。",
    "upload-stopped": "アップロードが動いていない。起動する。",
    "upload-alarm": "アップロードが警報を出している。recorderd status を見る。",
}
