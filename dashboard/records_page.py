"""The page Records: where every read is, one read's whole story, dead letters, and mistakes by type."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import streamlit as st

from helix_ray._dashboard import live, panels, reads, shared
from helix_ray._dashboard.drawing import macros
from helix_ray.client.stored import ReadStory
from helix_ray.errors import ConfigError, HelixError, MissingSecretError

_books = macros("books.html")

DEAD_LETTERS = 200
PARTS = ("variants", "requests and their cost", "prompt", "raw answer")

Value = TypeVar("Value")


def page() -> None:
    books()
    search()
    left, right = st.columns(2)
    with left:
        letters()
    with right:
        types()
        confusion()


@st.fragment(run_every=5.0)
def books() -> None:
    view = shared.feed().latest()
    live.html("books-bar", (*live.moment(view), round(view.age_s)), lambda: panels.top(view))
    snapshot = view.snapshot
    if snapshot is not None and snapshot.run.known:
        live.html("books", live.moment(view), lambda: panels.reconciliation(snapshot))


@st.fragment
def search() -> None:
    """One read at a time, and of it what is opened."""
    with st.form("search", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        named = st.text_input("Read, by its index or its id", key="read", max_chars=200).strip()
        st.form_submit_button("Look up", key="look_up")
    run_id = shown_run()
    if not named or run_id is None:
        return
    found = asked(lambda: shared.stored().read(run_id, named))
    if found is None:
        st.text(f"No finished read of this run has this index or id: {named}")
        return
    st.html(reads.story(found))
    part = st.segmented_control("Of this read", PARTS, key="part", default=PARTS[0], required=True)
    if part == PARTS[0]:
        st.html(_books.variants(found.result.variants))
    elif part == PARTS[1]:
        st.html(_books.requests(found.requests))
    elif part == PARTS[2]:
        _prompt(found)
    else:
        st.code(found.result.raw_answer or "No answer is stored.", language=None, wrap_lines=True)


def _prompt(found: ReadStory) -> None:
    if found.user is None:
        st.text("This read was not asked about, or by a prompt that this version does not have.")
        return
    st.text("As a request about this read alone holds it; ids in a request mean nothing outside of it.")
    st.code(f"{found.system}\n\n{found.user}", language=None, wrap_lines=True)


@st.fragment
def letters() -> None:
    st.subheader("Dead letters", anchor=False)
    run_id = shown_run()
    if run_id is None:
        return
    found = asked(lambda: shared.stored().dead_letters(run_id, DEAD_LETTERS)) or []
    if found:
        st.html(_books.dead_letters(found))
        _redrive(run_id, [letter.read_index for letter in found])
    else:
        st.text("None: every finished read has its answer.")
    st.button("Look again", key="letters_again")


def _redrive(run_id: str, read_indices: list[int]) -> None:
    """Nothing is sent here: a resumed run asks again, under its budget."""
    live_run = shared.feed().latest().live
    label = f"Ask again for these {len(read_indices)} when the run is resumed"
    if st.button(label, key="redrive", disabled=live_run or not shared.in_control()):
        if not shared.in_control(use=True):
            st.text("Nothing was changed: this browser is not in control.")
            return
        moved = asked(lambda: shared.stored().redrive(run_id, read_indices))
        if moved is not None:
            st.text(f"{moved} reads will be asked for again by: helix run --resume {run_id}")
    elif live_run:
        st.text("They can be asked for again once the run has ended.")


@st.fragment(run_every=5.0)
def types() -> None:
    st.subheader("Found, missed and false, by type", anchor=False)
    view = shared.feed().latest()
    snapshot = view.snapshot
    if snapshot is None or not snapshot.accuracy:
        st.text("No truth is known of these reads.")
        return
    live.html("types", live.moment(view), lambda: panels.types(snapshot) + panels.mistaken(snapshot))


@st.fragment
def confusion() -> None:
    """Counted by the database, so only when it is asked for."""
    run_id = shown_run() if st.toggle("Which type was taken for which", key="confused") else None
    if run_id is None:
        return
    found = asked(lambda: shared.stored().confusion(run_id))
    if found is None:
        st.text("No truth is known of these reads.")
    else:
        st.html(_books.confusion(found))
    st.button("Look again", key="confusion_again")


def shown_run() -> str | None:
    """The live run, else the last one."""
    snapshot = shared.feed().latest().snapshot
    if snapshot is None or not snapshot.run.known:
        st.text("No run is known yet.")
        return None
    return snapshot.run.run_id


def asked(question: Callable[[], Value | None]) -> Value | None:
    """What the database answers; why not is said on the page, without anything that may hold a password."""
    try:
        return question()
    except (HelixError, OSError, TimeoutError) as error:
        st.text(
            str(error)
            if isinstance(error, (MissingSecretError, ConfigError))
            else f"The database does not answer ({type(error).__name__})."
        )
        return None
