"""The registry's side of the REST API: what was observed, who may, is it well, and how the API describes itself.

Law: a URL that commands something lives in `supervisor.api`, its GET included. What both sides need is in `endpoint`,
`bodies`, `paging` and `paths`.
"""
