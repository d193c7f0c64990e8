"""The page's own CSS. The staleness banner needs no script: each update restarts its animation, and without one it appears."""

from __future__ import annotations

STALE_AFTER_S = 4

STYLE = f"""<style>
@keyframes hx-stale-0 {{ from {{ opacity: 0; max-height: 0; padding: 0; }} to {{ opacity: 1; max-height: 4em; padding: .5em 1em; }} }}
@keyframes hx-stale-1 {{ from {{ opacity: 0; max-height: 0; padding: 0; }} to {{ opacity: 1; max-height: 4em; padding: .5em 1em; }} }}
.hx-stale {{ opacity: 0; max-height: 0; overflow: hidden; background: #7a4b00; color: #fff; border-radius: .4em; }}
.hx-stale.hx-0 {{ animation: hx-stale-0 .2s linear {STALE_AFTER_S}s 1 forwards; }}
.hx-stale.hx-1 {{ animation: hx-stale-1 .2s linear {STALE_AFTER_S}s 1 forwards; }}
</style>"""


def heartbeat(beat: int) -> str:
    """The banner with a class that alternates, so that the browser begins its waiting time anew. It holds no outside text."""
    return (
        f'<div class="hx-stale hx-{beat % 2}" role="status">⚠ No update for {STALE_AFTER_S} seconds: the page server does not answer. '
        "What you see is old; buttons may not work.</div>"
    )
