"""The SQL of the read model, as literal text.

Law: each kind of row is one statement however many there are; the rows travel as one JSON value, which PostgreSQL
unpacks. Every column is named, since Django's defaults are not the database's. Tables are those of `registry.models`.
"""

from __future__ import annotations

# ------------------------------------------------------------------------------------------------------------- the term

READ_TERM = """
    SELECT term, holder, extract(epoch FROM clock_timestamp() - renewed_at) FROM registry_observerterm
"""

TAKE_TERM = """
    INSERT INTO registry_observerterm AS held (id, term, holder, renewed_at)
    VALUES (1, 1, %s, clock_timestamp())
    ON CONFLICT (id) DO UPDATE SET term = held.term + 1, holder = excluded.holder, renewed_at = excluded.renewed_at
    WHERE held.term = %s AND held.holder = %s
    RETURNING term
"""

RENEW_TERM = """
    UPDATE registry_observerterm SET renewed_at = clock_timestamp() WHERE id = 1 AND term = %s AND holder = %s
"""

#: Long ago: whoever looks at the age sees at once that nobody writes.
RELEASE_TERM = """
    UPDATE registry_observerterm SET holder = '', renewed_at = to_timestamp(0)
    WHERE id = 1 AND term = %s AND holder = %s
"""

# ------------------------------------------------------------------------------------- one writing statement, in parts
#
# A write is one statement made of these parts, so that it costs one round trip and one commit. Each part but the first
# joins `taken`, which has no row when the term is lost: then nothing is written.

#: Re-asserts the term and takes so many revisions: those after `before`.
TAKE_REVISIONS = """
    mine AS (
        UPDATE registry_observerterm SET renewed_at = clock_timestamp() WHERE id = 1 AND term = %s AND holder = %s
        RETURNING 1),
    counted AS (
        UPDATE registry_counter SET revision = revision + %s WHERE id = 1 AND EXISTS (SELECT 1 FROM mine)
        RETURNING revision),
    taken AS (SELECT revision - %s AS before, revision AS last FROM counted)
"""

WRITTEN = "SELECT before, last FROM taken"

# ----------------------------------------------------------------------------------------------------- processes, nodes

PROCESS_COLUMNS = (
    "sworm", "name", "pid", "node", "epoch", "state", "target", "args", "kwargs", "isolation", "groups", "meta",
    "restarts", "started_at", "of",
)  # fmt: skip

LOAD_PROCESSES = """
    SELECT sworm, name, pid, node, epoch, state, target, args, kwargs, isolation, groups, meta, restarts,
           round(extract(epoch FROM started_at) * 1000)::bigint, "of"
    FROM registry_process
"""

UPSERT_PROCESSES = """
    upserted AS (
    INSERT INTO registry_process (sworm, name, pid, node, epoch, state, target, args, kwargs, isolation, groups, meta,
                                  restarts, started_at, "of", revision)
    SELECT sworm, name, pid, node, epoch, state, target, args::jsonb, kwargs::jsonb, isolation, groups, meta::jsonb,
           restarts, to_timestamp(started_at / 1000.0), "of", taken.before + 1
    FROM taken, json_to_recordset(%s::json) AS row (
        sworm text, name text, pid text, node text, epoch bigint, state text, target text, args text, kwargs text,
        isolation text, groups jsonb, meta text, restarts int, started_at bigint, "of" text)
    ON CONFLICT (sworm, name) DO UPDATE SET
        pid = excluded.pid, node = excluded.node, epoch = excluded.epoch, state = excluded.state,
        target = excluded.target, args = excluded.args, kwargs = excluded.kwargs, isolation = excluded.isolation,
        groups = excluded.groups, meta = excluded.meta, restarts = excluded.restarts,
        started_at = excluded.started_at, "of" = excluded."of", revision = excluded.revision
    RETURNING *),
    changed AS (
    INSERT INTO registry_change (revision, at, sworm, name, row)
    SELECT revision, clock_timestamp(), sworm, name, jsonb_build_object(
        'pid', pid, 'node', node, 'epoch', epoch, 'state', state, 'target', target, 'isolation', isolation,
        'groups', groups, 'restarts', restarts,
        'started_at', round(extract(epoch FROM started_at) * 1000)::bigint)
    FROM upserted)
"""

REMOVE_PROCESSES = """
    gone AS (
        SELECT pair->>0 AS sworm, pair->>1 AS name FROM taken, json_array_elements(%s::json) AS pair),
    deleted AS (
        DELETE FROM registry_process AS row USING gone WHERE row.sworm = gone.sworm AND row.name = gone.name),
    removed AS (
        INSERT INTO registry_removal (revision, sworm, name)
        SELECT taken.before + 1, gone.sworm, gone.name FROM taken, gone),
    changed_away AS (
        INSERT INTO registry_change (revision, at, sworm, name, row)
        SELECT taken.before + 1, clock_timestamp(), gone.sworm, gone.name, NULL FROM taken, gone)
"""

LEAVE_GROUPS = """
    left_groups AS (
        DELETE FROM registry_membership AS row USING taken, json_array_elements(%s::json) AS item
        WHERE row.sworm = item->>0 AND row."group" = item->>1 AND row.pid = item->>2)
"""

JOIN_GROUPS = """
    joined_groups AS (
        INSERT INTO registry_membership (sworm, "group", pid, name, revision)
        SELECT item->>0, item->>1, item->>2, item->>3, taken.before + 1
        FROM taken, json_array_elements(%s::json) AS item
        ON CONFLICT (sworm, "group", pid) DO UPDATE SET name = excluded.name, revision = excluded.revision)
"""

UPSERT_NODES = """
    seen AS (
    INSERT INTO registry_node AS held (name, incarnation, status, cordoned, url, labels, capacity, sworms, processes,
                                       last_seen, stats, definitions, forgotten, revision)
    SELECT name, incarnation, status, cordoned, url, labels, capacity, sworms, processes,
           clock_timestamp(), '{}', '{}', false, taken.before + 1
    FROM taken, json_to_recordset(%s::json) AS row (
        name text, incarnation bigint, status text, cordoned boolean, url text, labels jsonb, capacity float,
        sworms jsonb, processes int)
    ON CONFLICT (name) DO UPDATE SET
        incarnation = excluded.incarnation, status = excluded.status, cordoned = excluded.cordoned,
        url = excluded.url, labels = excluded.labels, capacity = excluded.capacity, sworms = excluded.sworms,
        processes = excluded.processes, revision = excluded.revision,
        last_seen = CASE WHEN excluded.status IN ('suspect', 'left', 'dead') THEN held.last_seen
                         ELSE excluded.last_seen END,
        forgotten = held.forgotten AND excluded.status IN ('left', 'dead')
    RETURNING *),
    changed_nodes AS (
    INSERT INTO registry_change (revision, at, sworm, name, row)
    SELECT revision, clock_timestamp(), '', name, CASE WHEN forgotten THEN NULL ELSE jsonb_build_object(
        'incarnation', incarnation, 'status', status, 'cordoned', cordoned, 'url', url, 'labels', labels,
        'capacity', capacity, 'sworms', sworms, 'processes', processes) END
    FROM seen)
"""

#: An operator has set the mark; the revision tells those who watch.
TOUCH_FORGOTTEN = """
    forgotten AS (
        UPDATE registry_node SET revision = taken.before + 1 FROM taken
        WHERE registry_node.forgotten AND name = ANY(%s)
        RETURNING name, registry_node.revision),
    changed_forgotten AS (
        INSERT INTO registry_change (revision, at, sworm, name, row)
        SELECT revision, clock_timestamp(), '', name, NULL FROM forgotten)
"""

SEEN = "UPDATE registry_node SET last_seen = clock_timestamp() WHERE name = ANY(%s)"

STATS = """
    UPDATE registry_node AS held
    SET stats = coalesce(row.stats, held.stats), definitions = coalesce(row.definitions, held.definitions)
    FROM json_to_recordset(%s::json) AS row (node text, stats jsonb, definitions jsonb) WHERE held.name = row.node
"""

# ---------------------------------------------------------------------------------------------------- versions observed

UPSERT_VERSIONS = """
    observed AS (
        INSERT INTO registry_observedversion (sworm, origin, version)
        SELECT item->>0, item->>1, (item->>2)::bigint FROM taken, json_array_elements(%s::json) AS item
        ON CONFLICT (sworm, origin) DO UPDATE SET version = excluded.version)
"""

FORGET_VERSIONS = """
    WITH known AS (
        SELECT item->>0 AS sworm, item->>1 AS origin FROM json_array_elements(%s::json) AS item)
    DELETE FROM registry_observedversion AS row
    WHERE NOT EXISTS (SELECT 1 FROM known WHERE known.sworm = row.sworm AND known.origin = row.origin)
"""

# -------------------------------------------------------------------------------------------------------------- history

#: A batch of reports may come twice: what is equal in every respect, its time included, is the same event. And what
#: several witnesses say of a node (`WITNESSED`) is one event, unless it was told otherwise between the two.
INSERT_EVENTS = """
    happened AS (
        INSERT INTO registry_event (revision, at, kind, sworm, name, node, pid, epoch, detail)
        SELECT taken.before + %s + row.number, to_timestamp(row.at), row.kind, row.sworm, row.name, row.node, row.pid,
               row.epoch, row.detail
        FROM taken, ROWS FROM (json_to_recordset(%s::json) AS (
            at float, kind text, sworm text, name text, node text, pid text, epoch bigint, detail text
        )) WITH ORDINALITY AS row (at, kind, sworm, name, node, pid, epoch, detail, number)
        WHERE NOT EXISTS (
            SELECT 1 FROM registry_event AS old
            WHERE old.at = to_timestamp(row.at)
              AND (old.kind, old.sworm, old.name, old.node, old.pid, old.epoch, old.detail)
                = (row.kind, row.sworm, row.name, row.node, row.pid, row.epoch, row.detail))
        AND NOT (row.kind = ANY(%s) AND EXISTS (
            SELECT 1 FROM registry_event AS told
            WHERE told.node = row.node AND told.pid = row.pid AND told.kind = row.kind
              AND told.at BETWEEN to_timestamp(row.at - %s) AND to_timestamp(row.at + %s)
              AND NOT EXISTS (
                SELECT 1 FROM registry_event AS other
                WHERE other.node = row.node AND other.pid = row.pid AND other.kind = ANY(%s)
                  AND other.kind <> row.kind
                  AND other.at > least(told.at, to_timestamp(row.at))
                  AND other.at < greatest(told.at, to_timestamp(row.at))))))
"""

#: The memory begins with the first look at it.
BEGIN_HORIZON = """
    INSERT INTO registry_horizon (id, events, changes) VALUES (1, 0, clock_timestamp()) ON CONFLICT DO NOTHING
"""

INSERT_SNAPSHOTS = """
    INSERT INTO registry_replicasnapshot (node, sworm, size, digest, digests, versions, behind, entries, observed_at)
    SELECT node, sworm, size, digest, digests, versions, behind, decode(entries, 'base64'), clock_timestamp()
    FROM json_to_recordset(%s::json) AS row (
        node text, sworm text, size int, digest text, digests jsonb, versions jsonb, behind int, entries text)
"""
