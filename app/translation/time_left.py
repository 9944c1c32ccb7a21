"""How a remaining time is said."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication


def time_left(seconds: float | None) -> str:
    """Return a remaining time as a person would say it; empty when unknown."""
    if seconds is None:
        return ""
    translate = QCoreApplication.translate
    if seconds < 10:
        return translate("JobBar", "a few seconds left")
    if seconds < 55:
        return translate("JobBar", "{n} s left").format(n=int(-(-seconds // 10) * 10))
    if seconds < 3600 - 30:
        return translate("JobBar", "{n} min left").format(n=max(1, round(seconds / 60)))
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours < 10 and minutes:
        return translate("JobBar", "{h} h {m} min left").format(h=hours, m=minutes)
    return translate("JobBar", "{n} h left").format(n=hours + (minutes >= 30))
