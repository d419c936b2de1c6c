"""How PostgreSQL stores CEEMS databases: the tables, their columns, and the SQL that creates them.

The layout is that of `columnar.layout`. Plain columns are stored unchanged, and each key of a metric is one column:
``#0``, ``#1`` and so on. Table ``catalog`` maps keys to columns. Several sites share the tables; column ``site`` names
the site of a row. The large tables are partitioned by ranges of ``part``, so that partitions can be on other servers.
Indexes belong to the partitions, because a table with foreign partitions cannot have unique indexes.

Every text column has collation C, because SQLite compares texts byte by byte.
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from ceems_grpc.schema import ADMINISTERED, COLUMNS, GROUPS, INTEGERS, LISTS, METRIC_TABLES, OBJECTS, Type, is_metric
from ceems_grpc.store.columnar.layout import DAY, LARGE, MOMENT, ROW, list_column, quote, text
from ceems_grpc.store.plan import Table

POSTGRES_LAYOUT_VERSION = 1
"""Incremented with every change of the tables. Feeders refuse tables with another version; readers, with an older."""

PARTS = 64
"""The values of ``part`` are 0 to 63. A row keeps its part for ever, so this number never changes."""

LOCAL_PARTITIONS = 8
MOST_KEYS = 1_200
"""The most keys of one table. PostgreSQL allows 1,600 columns per table, and rollups have up to three per key."""

SITE = "site"
PART = "part"
UNITS_COUNT = "#units"
HOUR = "#hour"
DIGEST = "#digest"
"""The column that shows the feeder whether a row has changed; see `feed.rows`."""
HOURLY = "units_hourly"
DAILY = "units_daily"
LARGE_TABLES = METRIC_TABLES
SMALL_TABLES = tuple(table for table in Table if table not in LARGE_TABLES)

Placement = Literal["local", "foreign", "citus"]
"""Where the large tables are: in this database, on foreign servers, or distributed by the extension Citus."""

_INDEXES: dict[Table, tuple[tuple[str, ...], ...]] = {
    Table.UNITS: (("username", "ended_at_ts"), ("project", "ended_at_ts"), ("ended_at_ts",), (MOMENT,), ("uuid",)),
    Table.USAGE: (("username",),),
    Table.DAILY_USAGE: ((MOMENT,),),
}


class TableCatalog(msgspec.Struct):
    """The entry of one table in ``catalog``: the union over all sites.

    ``columns``: the columns of the CEEMS table, metrics included, in its order. ``keys``: for each metric,
    {key: column}. ``coded``: columns that hold the codes NaN or Infinity. ``inexact``: columns with texts of some site
    that are not stored exactly. ``weights``: for each averaged metric, the key of ``total_time_seconds`` that weighs it
    in the rollups (of units only). ``objects``, ``numbers``: see `TableLayout`; a column that sites declare differently
    is not a number.
    """

    columns: tuple[str, ...] = ()
    keys: dict[str, dict[str, str]] = {}
    coded: set[str] = set()
    inexact: set[str] = set()
    weights: dict[str, str] = {}
    objects: set[str] = set()
    numbers: dict[str, Type] = {}

    def add_key(self, metric: str, key: str) -> str:
        """Assign a column to a key, and return its name. The caller creates the column."""
        place = f"#{sum(map(len, self.keys.values()))}"
        self.keys.setdefault(metric, {})[key] = place
        return place


@dataclass(frozen=True, slots=True)
class Leaf:
    """A partition of rows with ``first`` <= part < ``end``. ``server``: its foreign server, "" if it is local."""

    name: str
    first: int
    end: int
    server: str = ""


def part_of(site: str, cluster_id: str | None, username: str | None) -> int:
    """Return the part of a row. All rows of a user on a cluster of a site have the same part."""
    return zlib.crc32("\0".join((site, cluster_id or "", username or "")).encode("utf-8", "replace")) % PARTS


def weighted_column(place: str) -> str:
    """Return the name of the rollups' column with the sum of a key's values times their weights."""
    return f"#weighted:{place}"


def weight_column(place: str) -> str:
    """Return the name of the rollups' column with the sum of the weights of the rows that have the key."""
    return f"#weight:{place}"


def json_column(column: str) -> str:
    """Return the name of the column with the text of a JSON object as jsonb."""
    return f"#json:{column}"


def json_objects(table: Table, new: Iterable[str]) -> tuple[str, ...]:
    """Return the columns that have a `json_column`: of units, those that hold JSON objects and are not metrics.

    ``new``: the columns of objects that the schema does not describe.
    """
    return (*OBJECTS, *sorted(name for name in new if not is_metric(name))) if table is Table.UNITS else ()


def type_of(column: str) -> str:
    """Return the PostgreSQL type of a plain column of CEEMS."""
    return "bigint" if column in INTEGERS else 'text COLLATE "C"'


def leaves(table: Table, servers: Sequence[str] = (), local: int = LOCAL_PARTITIONS) -> list[Leaf]:
    """Return the partitions of a large table: one on each foreign server, or ``local`` ones in this database."""
    count = len(servers) or local
    bounds = [PARTS * index // count for index in range(count + 1)]
    return [
        Leaf(f"{table}_p{index}", bounds[index], bounds[index + 1], servers[index] if servers else "")
        for index in range(count)
    ]


def setup_statements(schema: str, servers: Sequence[str] = (), *, citus: bool = False) -> list[str]:
    """Return the SQL statements that create the tables, and the schema if it does not exist.

    ``servers``: names of the foreign servers on which the large tables are (see `shard_statements`). ``citus``: let the
    extension Citus distribute them. Raises ValueError if there are more servers than parts.
    """
    if len(servers) > PARTS:
        raise ValueError(f"there can be no more than {PARTS} shards")
    space = quote(schema)
    kind: Placement = "foreign" if servers else "citus" if citus else "local"
    made = [_schema(schema)]
    for table in LARGE_TABLES:
        made += _large_table(schema, table, servers, citus=citus)
    made += [_small_table(schema, table) for table in SMALL_TABLES]
    made += _rollup(schema, HOURLY, HOUR) + _rollup(schema, DAILY, DAY)
    made += [statement.format(space=space) for statement in _STATE_TABLES]
    made.append(_add_columns_function(schema, kind))
    made.append(f"REVOKE ALL ON FUNCTION {space}.add_columns(text, text[], text) FROM PUBLIC")
    if citus:
        for table in LARGE_TABLES:
            place = "none" if table is Table.UNITS else f"{space}.units"
            made.append(
                f"SELECT create_distributed_table({text(f'{space}.{table}')}, 'part', colocate_with => {text(place)})"
            )
    made.append(f"INSERT INTO {space}.layout VALUES ({POSTGRES_LAYOUT_VERSION}, {text(kind)})")  # noqa: S608 - constants
    return made


def shard_statements(schema: str, servers: Sequence[str], server: str) -> list[str]:
    """Return the SQL statements that create the tables of one shard, to be run on that shard."""
    made = [_schema(schema)]
    for table in LARGE_TABLES:
        for leaf in leaves(table, servers):
            if leaf.server == server:
                made.append(f"CREATE TABLE {quote(schema)}.{quote(leaf.name)} ({', '.join(_columns(table))})")
                check = f"{PART} >= {leaf.first} AND {PART} < {leaf.end}"
                made.append(f"ALTER TABLE {quote(schema)}.{quote(leaf.name)} ADD CHECK ({check})")
                made += _indexes(schema, table, leaf.name)
    return made


def _schema(schema: str) -> str:
    # CREATE SCHEMA IF NOT EXISTS needs the privilege to create schemas even if the schema exists.
    missing = f"to_regnamespace({text(quote(schema))}) IS NULL"
    return f"DO $make$ BEGIN IF {missing} THEN CREATE SCHEMA {quote(schema)}; END IF; END $make$"


def _large_table(schema: str, table: Table, servers: Sequence[str], *, citus: bool) -> list[str]:
    parent = f"{quote(schema)}.{quote(table)}"
    columns = ", ".join(_columns(table))
    if citus:
        return [f"CREATE TABLE {parent} ({columns})", *_indexes(schema, table, table)]
    made = [f"CREATE TABLE {parent} ({columns}) PARTITION BY RANGE ({PART})"]
    for leaf in leaves(table, servers):
        name = f"{quote(schema)}.{quote(leaf.name)}"
        bounds = f"FOR VALUES FROM ({leaf.first}) TO ({leaf.end})"
        if leaf.server:
            options = f"schema_name {text(schema)}, table_name {text(leaf.name)}"
            made.append(
                f"CREATE FOREIGN TABLE {name} PARTITION OF {parent} {bounds}"
                f" SERVER {quote(leaf.server)} OPTIONS ({options})"
            )
        else:
            made.append(f"CREATE TABLE {name} PARTITION OF {parent} {bounds}")
            made += _indexes(schema, table, leaf.name)
    return made


def _columns(table: Table) -> list[str]:
    columns = [f'{SITE} text COLLATE "C" NOT NULL', f"{PART} smallint NOT NULL", f"{quote(ROW)} bigint NOT NULL"]
    columns += [f"{quote(DIGEST)} bigint", f"{quote(LARGE)} boolean"]
    columns += [f"{quote(MOMENT)} bigint", f"{quote(DAY)} bigint"]
    columns += [f"{quote(name)} {type_of(name)}" for name in _plain(table)]
    return columns + [f"{quote(json_column(name))} jsonb" for name in json_objects(table, ())]


def _plain(table: Table) -> list[str]:
    """Return the columns that are stored unchanged: integers first, so that alignment wastes no space."""
    plain = (column for column in COLUMNS[table] if not is_metric(column))
    return sorted(plain, key=lambda column: column not in INTEGERS)


def _indexes(schema: str, table: Table, name: str) -> list[str]:
    place = f"{quote(schema)}.{quote(name)}"
    made = [f"ALTER TABLE {place} ADD PRIMARY KEY ({SITE}, {quote(ROW)}, {PART})"]
    made += [f"CREATE INDEX ON {place} ({', '.join(map(quote, columns))})" for columns in _INDEXES[table]]
    # Rows that may not fit on one page of SQLite are few, and most commits of the writer make the feeder ask for them.
    made.append(f"CREATE INDEX ON {place} ({quote(ROW)}) WHERE {quote(LARGE)}")
    return made


def _small_table(schema: str, table: Table) -> str:
    columns = [f'{SITE} text COLLATE "C" NOT NULL', f"{quote(ROW)} bigint NOT NULL"]
    columns += [f"{quote(DIGEST)} bigint", f"{quote(LARGE)} boolean"]
    columns += [f"{quote(name)} {type_of(name)}" for name in _plain(table)]
    columns += [f'{quote(list_column(name))} text[] COLLATE "C"' for name in LISTS[table]]
    if table is Table.ADMIN_USERS:
        columns.append(f"{ADMINISTERED} {type_of(ADMINISTERED)}")
    columns.append(f"PRIMARY KEY ({SITE}, {quote(ROW)})")
    return f"CREATE TABLE {quote(schema)}.{quote(table)} ({', '.join(columns)})"


def _rollup(schema: str, name: str, time: str) -> list[str]:
    columns = [f"{quote(time)} bigint NOT NULL", f'{SITE} text COLLATE "C" NOT NULL', f"{PART} smallint NOT NULL"]
    columns += [f"{quote(group)} {type_of(group)}" for group in GROUPS]
    columns.append(f"{quote(UNITS_COUNT)} bigint NOT NULL")
    place = f"{quote(schema)}.{quote(name)}"
    return [f"CREATE TABLE {place} ({', '.join(columns)})", f"CREATE INDEX ON {place} ({quote(time)}, {SITE})"]


_STATE_TABLES = (
    "CREATE TABLE {space}.layout (version integer NOT NULL, kind text NOT NULL)",
    'CREATE TABLE {space}.sites (site text COLLATE "C" PRIMARY KEY, zone text NOT NULL,'
    " schema_version integer NOT NULL, commits bigint NOT NULL, fed_at timestamptz NOT NULL, newest bigint,"
    " units bigint NOT NULL, resources jsonb NOT NULL, complete boolean NOT NULL, rollups boolean NOT NULL,"
    " keep_history boolean NOT NULL)",
    # The primary key keeps two sites from having the same cluster.
    'CREATE TABLE {space}.clusters (cluster_id text COLLATE "C" PRIMARY KEY, site text COLLATE "C" NOT NULL)',
    "CREATE TABLE {space}.catalog (table_name text PRIMARY KEY, layout jsonb NOT NULL)",
    'CREATE TABLE {space}.feed_state (site text COLLATE "C" PRIMARY KEY, state text NOT NULL,'
    " begun boolean NOT NULL DEFAULT false)",
)


def _add_columns_function(schema: str, kind: Placement) -> str:
    """Return the statement that creates the function by which a feeder adds columns, here and on the shards.

    The owner of a table may change anything about it. With this function, the feeder need not own the tables and can
    only add columns of a few types. Columns are added on the shards first, because rows can be sent to the shards as
    soon as the columns are visible here.
    """
    types = ", ".join(map(text, ("bigint", "double precision", 'text COLLATE "C"', "jsonb")))
    large = ", ".join(map(text, LARGE_TABLES))
    tables = ", ".join(map(text, (*LARGE_TABLES, *SMALL_TABLES, HOURLY, DAILY)))
    on_shards = f"""
      IF wanted_table IN ({large}) THEN
        SELECT n.nspname INTO STRICT dblink_schema FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
          WHERE e.extname = 'dblink';
        FOR leaf IN
          SELECT s.srvname,
                 (SELECT option_value FROM pg_options_to_table(f.ftoptions) WHERE option_name = 'schema_name') AS space,
                 (SELECT option_value FROM pg_options_to_table(f.ftoptions) WHERE option_name = 'table_name') AS name
            FROM pg_inherits i JOIN pg_foreign_table f ON f.ftrelid = i.inhrelid
            JOIN pg_foreign_server s ON s.oid = f.ftserver
           WHERE i.inhparent = format('%I.%I', {text(schema)}, wanted_table)::regclass
        LOOP
          EXECUTE format('SELECT %I.dblink_exec(%L, %L)', dblink_schema, leaf.srvname, format(
            'SET lock_timeout = ''10s''; ALTER TABLE %I.%I %s', leaf.space, leaf.name, clauses));
        END LOOP;
      END IF;
    """  # noqa: S608 - constants and quoted names
    return f"""
    CREATE FUNCTION {quote(schema)}.add_columns(wanted_table text, wanted_columns text[], wanted_type text)
    RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '10s' AS $function$
    DECLARE
      leaf record;
      dblink_schema text;
      clauses text;
      wanted text;
    BEGIN
      IF wanted_table NOT IN ({tables}) OR wanted_type NOT IN ({types}) THEN
        RAISE EXCEPTION 'no column of type % may be added to %', wanted_type, wanted_table;
      END IF;
      FOREACH wanted IN ARRAY wanted_columns LOOP
        IF wanted IS NULL
           OR wanted !~ '^(#([0-9]+|weighted:#[0-9]+|weight:#[0-9]+)|(#json:)?[A-Za-z_][A-Za-z0-9_]{{0,59}})$' THEN
          RAISE EXCEPTION 'no column % may be added', wanted;
        END IF;
      END LOOP;
      SELECT string_agg(format('ADD COLUMN IF NOT EXISTS %I %s', name, wanted_type), ', ') INTO clauses
        FROM unnest(wanted_columns) AS name;
      {on_shards if kind == "foreign" else ""}
      EXECUTE format('ALTER TABLE %I.%I %s', {text(schema)}, wanted_table, clauses);
      RETURN true;
    END
    $function$
    """  # noqa: S608 - constants and quoted names
