"""Convert columns of local times to moments."""

from datetime import datetime, tzinfo

import pyarrow as pa
import pyarrow.compute as pc

_DAY = 86_400


class Moments:
    """Converts local texts to moments, by the rule of `local_time.moment_of`."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._known: dict[str, tuple[int | None, int | None, bool]] = {}

    def of(
        self, texts: pa.ChunkedArray, ended_ms: pa.ChunkedArray | None
    ) -> tuple[pa.ChunkedArray, pa.ChunkedArray, bool]:
        """Return the moments, the starts of their UTC days, and whether the texts sort in the order of the moments."""
        encoded = texts.combine_chunks().dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        found = [self._moment(text) for text in encoded.dictionary.to_pylist()]
        first = pc.take(pa.array([item[0] for item in found], pa.int64()), encoded.indices)
        second = pc.take(pa.array([item[1] for item in found], pa.int64()), encoded.indices)
        moments = first
        if ended_ms is not None:
            later = pc.greater(pc.divide(ended_ms.combine_chunks(), 1000), first)
            moments = pc.if_else(pc.fill_null(later, False), second, first)
        days = pc.multiply(pc.divide(first, _DAY), _DAY)
        return moments, days, all(item[2] for item in found)

    def _moment(self, text: str) -> tuple[int | None, int | None, bool]:
        known = self._known.get(text)
        if known is None:
            if len(self._known) > 200_000:
                self._known.clear()
            known = self._known[text] = self._work_out(text)
        return known

    def _work_out(self, text: str) -> tuple[int | None, int | None, bool]:
        if not text:
            return None, None, True
        try:
            naive = datetime.fromisoformat(text)
        except ValueError:
            return None, None, False
        if naive.tzinfo is not None or naive.isoformat() != text or len(text) != 19:
            return None, None, False
        first, second = (int(naive.replace(tzinfo=self._zone, fold=fold).timestamp()) for fold in (0, 1))
        if first < 0:  # such texts do not sort in the order of the moments
            return None, None, False
        return first, second, first <= second  # neither do texts in an hour that the clocks skip
