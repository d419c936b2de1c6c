"""Inputs of a harness: the files of its corpus, mutations of them, and unrelated bytes."""

from pathlib import Path

from hypothesis import strategies as st

_CORPUS = Path(__file__).with_name("corpus")
_INTERESTING = (b"\0", b"\xff", b"\x7f\xff\xff\xff", b"%", b"\\ud800", b'"', b"{", b"[" * 50, b"1e999", b"\xed\xa0\x80")


def corpus(harness: str) -> list[bytes]:
    """Return the contents of a harness's corpus, in the order of the file names. An empty corpus is an error."""
    found = [path.read_bytes() for path in sorted((_CORPUS / harness).iterdir())]
    assert found, f"the corpus of {harness} is empty"
    return found


def inputs(harness: str, longest: int = 400) -> st.SearchStrategy[bytes]:
    """Return mutations of the corpus, and other bytes up to a length."""
    return st.one_of(_mutations(corpus(harness)), st.binary(max_size=longest))


@st.composite
def _mutations(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 8))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 32)))
        other = draw(st.sampled_from(seeds))
        part = draw(
            st.one_of(
                st.binary(max_size=8),
                st.sampled_from(_INTERESTING),
                st.just(data[start:end] * 2),
                st.just(other[start : start + 40]),
            )
        )
        data = data[:start] + part + data[end:]
    return data
