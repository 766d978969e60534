"""Paths of the supervisor below /api/v1/.

Law: names of processes are one segment (`name`), with their slashes encoded.
"""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from registry.api import paths
from supervisor.api.all_processes import AllProcesses
from supervisor.api.groups import Groups, Member, MultiCall, OneGroup, Publish
from supervisor.api.messages import CallProcess, CastProcess, HandoffProcess, RestartProcess
from supervisor.api.moving import MigrateProcesses, RebalanceSworm, RestartSworm
from supervisor.api.nodes import Cordon, DrainNode, Nodes, OneNode, Uncordon
from supervisor.api.operations import CancelOperation, OneOperation, Operations, OperationSteps
from supervisor.api.processes import OneProcess, ProcessBatch, Processes
from supervisor.api.sworms import OneSworm, RevertSworm, SwormRevisions, Sworms

paths.register()

_PROCESSES = "sworms/<sworm:sworm>/processes"
_GROUPS = "sworms/<sworm:sworm>/groups"

urlpatterns: list[URLPattern | URLResolver] = [
    path("processes", AllProcesses.as_view()),
    path("sworms", Sworms.as_view()),
    path("sworms/<sworm:sworm>", OneSworm.as_view()),
    path("sworms/<sworm:sworm>/revisions", SwormRevisions.as_view()),
    path("sworms/<sworm:sworm>/revert", RevertSworm.as_view()),
    path(_PROCESSES, Processes.as_view()),
    path(f"{_PROCESSES}:batch", ProcessBatch.as_view()),
    path(f"{_PROCESSES}/<name:name>", OneProcess.as_view()),
    path(f"{_PROCESSES}/<name:name>/call", CallProcess.as_view()),
    path(f"{_PROCESSES}/<name:name>/cast", CastProcess.as_view()),
    path(f"{_PROCESSES}/<name:name>/restart", RestartProcess.as_view()),
    path(f"{_PROCESSES}/<name:name>/handoff", HandoffProcess.as_view()),
    path("sworms/<sworm:sworm>/migrate", MigrateProcesses.as_view()),
    path("sworms/<sworm:sworm>/rebalance", RebalanceSworm.as_view()),
    path("sworms/<sworm:sworm>/restart", RestartSworm.as_view()),
    path(_GROUPS, Groups.as_view()),
    path(f"{_GROUPS}/<name:group>", OneGroup.as_view()),
    path(f"{_GROUPS}/<name:group>/members/<name:name>", Member.as_view()),
    path(f"{_GROUPS}/<name:group>/publish", Publish.as_view()),
    path(f"{_GROUPS}/<name:group>/multi_call", MultiCall.as_view()),
    path("nodes", Nodes.as_view()),
    path("nodes/<node:node>", OneNode.as_view()),
    path("nodes/<node:node>/drain", DrainNode.as_view()),
    path("nodes/<node:node>/cordon", Cordon.as_view()),
    path("nodes/<node:node>/uncordon", Uncordon.as_view()),
    path("operations", Operations.as_view()),
    path("operations/<str:id>", OneOperation.as_view()),
    path("operations/<str:id>/steps", OperationSteps.as_view()),
    path("operations/<str:id>/cancel", CancelOperation.as_view()),
]
