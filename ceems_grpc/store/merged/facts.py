"""What several sources are together, and the errors about them."""

from collections.abc import Iterable, Sequence
from itertools import combinations

from ceems_grpc.store.columnar.local_time import SEVERAL_ZONES
from ceems_grpc.store.errors import StoreBusyError, StoreError
from ceems_grpc.store.merged.source_handle import SourceHandle
from ceems_grpc.store.missing import Missing
from ceems_grpc.store.plan import Table
from ceems_grpc.store.protocols import Facts, SourceFacts


async def facts_of(source: SourceHandle) -> SourceFacts:
    """Describe a source, or say why it cannot be described."""
    try:
        return SourceFacts(source.name, await source.facts())
    except StoreError as error:
        return SourceFacts(source.name, None, str(error), error.detail)


def merged_facts(sources: Sequence[SourceFacts]) -> Facts:
    """Describe all sources together. At least one of them must have answered."""
    answered = [source.facts for source in sources if source.facts is not None]
    zones = {facts.zone for facts in answered}
    updates = [facts.newest_update for facts in answered if facts.newest_update is not None]
    states = {facts.mirror for facts in answered} - {"none"}
    return Facts(
        location=f"{len(sources)} {'source' if len(sources) == 1 else 'sources'}",
        schema_version=min(facts.schema_version for facts in answered),
        zone=zones.pop() if len(zones) == 1 else str(SEVERAL_ZONES),
        zone_guessed=any(facts.zone_guessed for facts in answered),
        clusters=tuple(sorted(cluster for facts in answered for cluster in facts.clusters)),
        units=sum(facts.units for facts in answered),
        newest_update=max(updates, default=None),
        missing_tables=tuple(table for table in Table if any(table in facts.missing_tables for facts in answered)),
        mirror="none" if not states else ("behind" if "behind" in states else "fresh"),
        sources=tuple(sources),
    )


def check_clusters(known: Iterable[tuple[str, Iterable[str]]]) -> None:
    """Raise `StoreError` if two sources (name, clusters) hold the same cluster."""
    for (one, clusters), (other, others) in combinations([(name, frozenset(ids)) for name, ids in known], 2):
        if both := sorted(clusters & others):
            raise StoreError(
                f"Sources '{one}' and '{other}' both hold cluster {both[0]}, so their rows cannot be answered apart. "
                "Give the clusters different ids, or remove one of the sources from the data source."
            )


def no_source_answers(missing: Iterable[Missing | SourceFacts]) -> StoreError:
    """Return the error for a question that no source can answer."""
    said: list[tuple[str, str]] = []
    busy = True
    for source in missing:
        if isinstance(source, Missing):
            said.append((source.sentence, source.detailed))
            busy = busy and source.busy
        else:
            said.append((f"Source '{source.name}': {source.problem}", f"Source '{source.name}': {source.detail}"))
            busy = False
    kind = StoreBusyError if busy else StoreError
    return kind(" ".join(message for message, _ in said), " ".join(detail for _, detail in said))
