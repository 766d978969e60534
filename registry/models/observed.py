"""What the observer saw: the read model, its history, and the term of the one who may write it.

Law: the observer alone writes these rows (one exception: `Node.forgotten`, which an operator sets). Each transaction
takes its revision from `Counter` and stamps with it whatever it touched, so revisions grow in commit order. Names are
compared as bytes (collation C): a cursor over them means the same in PostgreSQL, in Python and in a browser. Rows
refer to sworms and nodes by name, not by key: an agent may run what no row defines any more.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models

#: What REST says of a node.
NODE_STATUSES = ("alive", "suspect", "draining", "left", "dead")
#: Statuses of nodes that are over: their rows may be forgotten.
NODE_ENDED = ("left", "dead")

#: What REST says of a process.
PROCESS_STATES = ("starting", "running", "handing_off", "restarting", "failed")


class Node(models.Model):
    """One node at its latest known incarnation."""

    name = models.TextField(primary_key=True, db_collation="C")
    incarnation = models.BigIntegerField()
    status = models.TextField()
    cordoned = models.BooleanField(default=False)
    url = models.TextField(blank=True)
    labels = models.JSONField(default=dict)
    capacity = models.FloatField(default=1.0)
    sworms = models.JSONField(default=list, help_text='Names of the sworms it hosts, or ["*"].')
    processes = models.IntegerField(default=0)
    last_seen = models.DateTimeField()
    stats = models.JSONField(default=dict)
    definitions = models.JSONField(default=dict, help_text="{sworm: revision of the definition that it runs}")
    forgotten = models.BooleanField(default=False, help_text="An operator forgot this ended incarnation.")
    revision = models.BigIntegerField(db_index=True)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class Process(models.Model):
    """One name and the incarnation that runs under it. In JSON columns bytes stand as {"$bytes": base64}."""

    sworm = models.TextField(db_collation="C")
    name = models.TextField(db_collation="C")
    pid = models.TextField(db_collation="C")
    node = models.TextField(db_collation="C")
    epoch = models.BigIntegerField()
    state = models.TextField()
    target = models.TextField(blank=True, help_text="module:identifier; empty for a name without a spec.")
    args = models.JSONField(default=list)
    kwargs = models.JSONField(default=dict)
    isolation = models.TextField(default="task")
    groups = models.JSONField(default=list, help_text="Names of its groups, sorted; the rows are in Membership.")
    meta = models.JSONField(default=dict)
    restarts = models.IntegerField(default=0)
    started_at = models.DateTimeField()
    of = models.TextField(
        blank=True, default="", db_collation="C", help_text="The own name of its process, where this is a further one."
    )
    revision = models.BigIntegerField(db_index=True)

    class Meta:
        ordering: ClassVar = ["sworm", "name"]
        verbose_name_plural = "processes"
        constraints: ClassVar = [
            # In collation C this also serves prefix searches and the keyset cursor.
            models.UniqueConstraint(fields=["sworm", "name"], name="process_sworm_name"),
        ]
        # One for each order of the list of all processes: a page costs the same however many there are. Together they
        # cost 10 µs for each row that is written.
        indexes: ClassVar = [
            models.Index(fields=["name", "sworm"], name="process_name"),
            *(
                models.Index(fields=[field, "sworm", "name"], name=f"process_{field}")
                for field in ("node", "state", "restarts", "epoch", "started_at")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.sworm}/{self.name}"

    @classmethod
    def own(cls) -> models.QuerySet[Process]:
        """Each process once, by its own name: further names, and those of another sworm's process, go along with it."""
        return cls.objects.filter(of="").exclude(target="")


class Membership(models.Model):
    """A process in a group of its sworm."""

    sworm = models.TextField(db_collation="C")
    group = models.TextField(db_collation="C")
    pid = models.TextField(db_collation="C")
    name = models.TextField(db_collation="C")
    revision = models.BigIntegerField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["sworm", "group", "pid"], name="membership_sworm_group_pid"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["sworm", "name"], name="membership_name"),
            models.Index(fields=["group", "sworm", "name"], name="membership_group"),
        ]

    def __str__(self) -> str:
        return f"{self.sworm}/{self.group}: {self.name}"


class Removal(models.Model):
    """A name that went away at a revision: what a client that resynchronises must be told. Pruned by age."""

    revision = models.BigIntegerField(db_index=True)
    sworm = models.TextField(db_collation="C")
    name = models.TextField(db_collation="C")

    def __str__(self) -> str:
        return f"{self.revision}: {self.sworm}/{self.name}"


class ReplicaSnapshot(models.Model):
    """One node's replica of one sworm as it stood at a moment; the newest of each is what GET /replicas shows."""

    node = models.TextField(db_collation="C")
    sworm = models.TextField(db_collation="C", help_text="Empty: the cluster-wide directory.")
    size = models.IntegerField()
    digest = models.TextField(help_text="Hexadecimal, over all origins.")
    digests = models.JSONField(default=dict, help_text="{origin: hexadecimal digest of its entries}")
    versions = models.JSONField(default=dict, help_text="{origin: version}")
    behind = models.IntegerField(default=0, help_text="Versions missing, summed over the origins.")
    entries = models.BinaryField(null=True, help_text="MessagePack of the copies; only at longer intervals.")
    observed_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["node", "sworm", "-observed_at"], name="replica_latest")]

    def __str__(self) -> str:
        return f"{self.node} {self.sworm or '(directory)'}"


class Event(models.Model):
    """Something that happened, for ever as it was written. Several may share a revision; (revision, id) orders them."""

    revision = models.BigIntegerField()
    at = models.DateTimeField(db_index=True)
    kind = models.TextField()
    sworm = models.TextField(blank=True, db_collation="C")
    name = models.TextField(blank=True, db_collation="C")
    node = models.TextField(blank=True, db_collation="C")
    pid = models.TextField(blank=True, db_collation="C")
    epoch = models.BigIntegerField(default=0)
    detail = models.TextField(blank=True)

    class Meta:
        ordering: ClassVar = ["revision", "id"]
        indexes: ClassVar = [
            models.Index(fields=["revision", "id"], name="event_revision"),
            models.Index(fields=["sworm", "name", "revision", "id"], name="event_process"),
            models.Index(fields=["node", "revision", "id"], name="event_node"),
            models.Index(fields=["kind", "revision", "id"], name="event_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.revision} {self.kind}"


class Change(models.Model):
    """What a row of the map became at a revision: the map of any moment is the newest change of each key until then.

    Pruned by age, but for the newest change of each key that is old enough: it says how things stood when the memory
    begins.
    """

    revision = models.BigIntegerField()
    at = models.DateTimeField(db_index=True)
    sworm = models.TextField(db_collation="C", help_text="Empty: `name` is a node.")
    name = models.TextField(db_collation="C")
    row = models.JSONField(null=True, help_text="As in the live stream, without its key; null: it is gone.")

    class Meta:
        indexes: ClassVar = [models.Index(fields=["sworm", "name", "-revision"], name="change_key")]

    def __str__(self) -> str:
        return f"{self.revision}: {self.sworm}/{self.name}"


class ObservedVersion(models.Model):
    """Up to which version of an origin's map the rows of a sworm are complete."""

    sworm = models.TextField(db_collation="C", help_text="Empty: the cluster-wide directory.")
    origin = models.TextField(db_collation="C")
    version = models.BigIntegerField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["sworm", "origin"], name="observed_sworm_origin")]

    def __str__(self) -> str:
        return f"{self.sworm or '(directory)'} {self.origin}: {self.version}"


class Singleton(models.Model):
    """A table of at most one row, whose key is 1."""

    id = models.SmallIntegerField(primary_key=True, default=1, editable=False)

    class Meta:
        abstract = True
        constraints: ClassVar = [models.CheckConstraint(condition=models.Q(id=1), name="%(class)s_single")]


class ObserverTerm(Singleton):
    """Who may write the read model. Each transaction of the observer first re-asserts its term."""

    term = models.BigIntegerField()
    holder = models.TextField()
    renewed_at = models.DateTimeField()

    class Meta(Singleton.Meta):
        abstract = False

    def __str__(self) -> str:
        return f"term {self.term}: {self.holder}"


class Horizon(Singleton):
    """How far the memory reaches back: moved before what lies behind it is dropped."""

    events = models.BigIntegerField(default=0, help_text="Events up to this revision may be gone.")
    changes = models.DateTimeField(help_text="The map can be told for this moment and every later one.")

    class Meta(Singleton.Meta):
        abstract = False

    def __str__(self) -> str:
        return f"events after {self.events}, the map since {self.changes}"


class Counter(Singleton):
    """The last revision that was given out."""

    revision = models.BigIntegerField(default=0)

    class Meta(Singleton.Meta):
        abstract = False

    def __str__(self) -> str:
        return str(self.revision)
