"""The supervisor in Django's admin: definitions, to write; operations, to look at.

Law: a definition is written by `supervisor.definitions` and by nothing else; the form refuses what that would refuse,
each field with its sentence. Who edits an old revision is told so instead of overwriting the newer one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render

from registry.admin import ByScope, LinesField, principal_of
from registry.models import Node, Process, Sworm, SwormRevision
from registry.models.observed import NODE_ENDED
from registry.problems import Problem
from registry.scopes import CONFIG_WRITE
from supervisor import definitions, trials
from supervisor.advice import DANGER, EFFECTS, Advice, advise, difference
from supervisor.core.spec import ISOLATIONS, REDISTRIBUTIONS, RESTARTS, STRATEGIES
from supervisor.models import Operation

#: Revisions that the admin shows; REST has all.
SHOWN = 100


def held(sworm: str) -> dict[str, int]:
    """{node: revision that it runs} of the nodes that were not forgotten."""
    rows = Node.objects.filter(forgotten=False).exclude(status__in=NODE_ENDED).values_list("name", "definitions")
    return {name: revisions[sworm] for name, revisions in rows if sworm in revisions}


def _choices(words: Iterable[str]) -> list[tuple[str, str]]:
    return [(word, word) for word in words]


class SwormForm(forms.ModelForm):  # type: ignore[type-arg]
    """A definition as people write it."""

    restart = forms.ChoiceField(
        choices=_choices(RESTARTS), help_text="permanent: always; transient: after a crash; temporary: never."
    )
    distribution_strategy = forms.CharField(
        max_length=500, help_text=f"{', '.join(STRATEGIES)}, or a function of your own as module:function."
    )
    redistribution = forms.ChoiceField(choices=_choices(REDISTRIBUTIONS))
    isolation = forms.ChoiceField(choices=_choices(ISOLATIONS), help_text="Of processes that do not say their own.")
    allowed_modules = LinesField(
        required=False, help_text="Module prefixes that may run here, one a line; empty: whatever the agents allow."
    )
    expected = forms.IntegerField(required=False, widget=forms.HiddenInput)
    constraints = forms.JSONField(
        required=False,
        help_text='What a node\'s labels must be, as {"zone": "a"}; a list: one of; {"not": …}: none of; true: any.',
    )
    reason = forms.CharField(required=False, max_length=1000, help_text="Why; kept in the audit.")
    confirm = forms.BooleanField(required=False, label="I know", help_text="Write it although something is dangerous.")

    class Meta:
        model = Sworm
        fields = ("name", *definitions.WRITABLE)
        widgets: ClassVar[dict[str, Any]] = {"name": forms.TextInput}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._adds = not self.instance.pk
        self.advice: list[Advice] = []
        for field, (when, _) in EFFECTS.items():
            if field in self.fields:  # who may only look has none of some
                told = self.fields[field].help_text
                self.fields[field].help_text = f"{told} A change counts {when}.".strip()
        if not self._adds:
            self.fields["expected"].initial = self.instance.revision
        else:
            for field in ("restart", "distribution_strategy", "redistribution", "isolation"):
                self.fields[field].initial = getattr(self.instance, field)

    def clean_constraints(self) -> Any:
        """An empty field means none."""
        given = self.cleaned_data["constraints"]
        return {} if given is None else given

    def clean(self) -> dict[str, Any]:
        """What no node could obey is refused, each field with its sentence."""
        cleaned: dict[str, Any] = super().clean() or {}
        row = Sworm(name=self.instance.name or cleaned.get("name", ""))
        for field in definitions.WRITABLE:
            if field in cleaned:
                setattr(row, field, cleaned[field])
        for field, sentence in definitions.wrong_with(row).items():
            if field not in self.errors:
                self.add_error(field if field in self.fields else None, sentence)
        if not self.errors:
            self._warn(row, bool(cleaned.get("confirm")))
        return cleaned

    def _warn(self, row: Sworm, confirmed: bool) -> None:
        """What is dangerous is written only by somebody who says that they know."""
        before = None if self._adds else definitions.live().filter(name=row.name).first()
        try:
            untried = trials.refuse_unusable(row.name, before, definitions.values_of(row))
        except Problem as problem:
            for field, sentence in problem.errors.items():
                self.add_error(field if field in self.fields else None, sentence)
            return
        self.advice = [*trials.advice(untried), *advise(before, row)]
        if confirmed:
            return
        for advice in self.advice:
            if advice.level == DANGER:
                where = advice.field if advice.field in self.fields else None
                self.add_error(where, f"{advice.text}. Tick “I know” to write it all the same.")

    def validate_unique(self) -> None:
        """A deleted definition's name may be used again."""
        name = self.cleaned_data.get("name")
        if self._adds and definitions.live().filter(name=name).exists():
            self.add_error("name", f"a definition named {name} exists")

    def given(self) -> dict[str, Any]:
        """The fields that the form gives."""
        return {field: self.cleaned_data[field] for field in definitions.WRITABLE if field in self.cleaned_data}


@admin.register(Sworm)
class SwormAdmin(ByScope):
    """Definitions."""

    change_scope = CONFIG_WRITE
    of_sworm = "name"
    form = SwormForm
    list_display = ("name", "revision", "restart", "handoff", "isolation", "running", "behind", "drift", "updated_at")
    search_fields = ("name",)
    object_history_template = "admin/registry/sworm/revisions.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Sworm]:
        """Those in force."""
        return super().get_queryset(request).filter(deleted=False).order_by("name")

    def get_readonly_fields(self, request: HttpRequest, obj: Sworm | None = None) -> tuple[str, ...]:
        """A sworm cannot be renamed; what its nodes run and its code says is shown."""
        return ("name", "revision", "running", "held", "drift") if obj is not None else ()

    @admin.display(description="processes")
    def running(self, obj: Sworm) -> int:
        """How many processes it has."""
        return Process.objects.filter(sworm=obj.name).count()

    @admin.display(description="nodes behind")
    def behind(self, obj: Sworm) -> str:
        """Nodes that run an older revision than this one."""
        late = [node for node, revision in held(obj.name).items() if revision < obj.revision]
        return ", ".join(sorted(late)) or "none"

    @admin.display(description="revision that each node runs")
    def held(self, obj: Sworm) -> str:
        """What each node runs."""
        told = [
            f"{node}: {revision}{'' if revision >= obj.revision else ' (behind)'}"
            for node, revision in sorted(held(obj.name).items())
        ]
        return ", ".join(told) or "no node told yet"

    @admin.display(description="differs from its class")
    def drift(self, obj: Sworm) -> str:
        """Where the class that proposed it says otherwise; the row counts."""
        found = definitions.drifts([{"name": obj.name, **definitions.values_of(obj)}]).get(obj.name)
        if found is None:
            return "no class was used"
        return "; ".join(f"{field}: code says {one['code']!r}" for field, one in found.items()) or "no"

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Every revision with what changed; a POST goes back to one."""
        row = definitions.live().filter(name=object_id).first()
        if row is None or not self.has_view_permission(request, row):
            raise PermissionDenied
        if request.method == "POST":
            return self._revert(request, row)
        rows = list(SwormRevision.objects.filter(sworm=row.name).order_by("-revision")[:SHOWN])
        revisions = [
            {"row": one, "changed": difference(older.fields, one.fields) if older else None}
            for one, older in zip(rows, [*rows[1:], None], strict=True)
        ]
        context = {
            **self.admin_site.each_context(request), "title": f"Revisions of {row.name}", "object": row,
            "opts": self.opts, "revisions": revisions, "may_revert": self.has_change_permission(request, row),
        }  # fmt: skip
        return render(request, self.object_history_template, context)

    def _revert(self, request: HttpRequest, row: Sworm) -> HttpResponse:
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        try:
            number, expected = int(request.POST["revision"]), int(request.POST["expected"])
        except (KeyError, ValueError):
            self.message_user(request, "Name the revision to go back to.", messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        try:
            trials.refuse_unusable(row.name, row, definitions.at_revision(row.name, number))
            back = definitions.revert(row.name, number, expected, principal_of(request), "")
        except Problem as problem:
            self.message_user(request, problem.detail, messages.ERROR)
        else:
            self.message_user(request, f"It is as at revision {number} again, as revision {back.revision}.")
            self._advise(request, advise(row, back))
        return HttpResponseRedirect(request.get_full_path())

    def _advise(self, request: HttpRequest, told: Iterable[Advice]) -> None:
        for advice in told:
            level = messages.WARNING if advice.level == DANGER else messages.INFO
            self.message_user(request, f"{advice.field}: {advice.text}" if advice.field else advice.text, level)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """What came between reading and writing is told, not lost."""
        return self._told(request, super().changeform_view, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """As above."""
        return self._told(request, super().delete_view, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Sworm, form: Any, change: bool) -> None:
        """Write it the one way."""
        reason = form.cleaned_data.get("reason", "")
        if change:
            expected = form.cleaned_data.get("expected")
            row = definitions.change(obj.name, form.given(), expected, principal_of(request), reason)
        else:
            if not self.has_change_permission(request, obj):
                raise Problem("forbidden", f"the scope {CONFIG_WRITE} is bound to other sworms than {obj.name!r} here")
            row = definitions.create(obj.name, form.given(), principal_of(request), reason)
        obj.revision = row.revision
        self._advise(request, form.advice)

    def delete_model(self, request: HttpRequest, obj: Sworm) -> None:
        """Delete it the one way."""
        definitions.delete(obj.name, None, principal_of(request), "")

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Sworm]) -> None:
        """Each of them the one way."""
        for row in queryset:
            self.delete_model(request, row)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[Any, Any], set[Any], list[Any]]:
        """What stands in the way: processes."""
        rows = list(objs)
        running = [(row.name, self.running(row)) for row in rows]
        protected = [f"{name}: {count} processes run; stop them first" for name, count in running if count]
        refused = {row.name for row in rows if not self.has_delete_permission(request, row)}
        return [str(row) for row in rows], {"definitions": len(rows)}, refused, protected

    def _told(self, request: HttpRequest, view: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return view(request, *args, **kwargs)
        except Problem as problem:
            self.message_user(request, problem.detail, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())


@admin.register(SwormRevision)
class SwormRevisionAdmin(ByScope):
    """Revisions of definitions, to look at."""

    of_sworm = "sworm"
    list_display = ("sworm", "revision", "at", "actor", "reason", "deleted")
    list_filter = ("sworm",)
    search_fields = ("sworm", "actor", "reason")


@admin.register(Operation)
class OperationAdmin(ByScope):
    """Operations, to look at."""

    of_sworm = "sworm"
    list_display = ("created_at", "kind", "target", "state", "done", "total", "requested_by", "ended_at")
    list_filter = ("state", "kind")
    search_fields = ("sworm", "name", "node")
