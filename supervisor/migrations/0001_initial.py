"""The first tables of this app, as Django wrote them down; never edited after a release."""

import uuid
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Operation",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("kind", models.TextField(help_text="drain, handoff …")),
                ("sworm", models.TextField(blank=True, db_collation="C")),
                ("name", models.TextField(blank=True, db_collation="C")),
                ("node", models.TextField(blank=True, db_collation="C")),
                ("params", models.JSONField(default=dict, help_text="What was asked, beyond the target.")),
                ("state", models.TextField(default="pending")),
                ("done", models.IntegerField(default=0)),
                ("total", models.IntegerField(default=0)),
                ("steps", models.JSONField(default=list, help_text='[{"at", "text"}], oldest first')),
                ("problem", models.JSONField(help_text='{"code", "detail"} of a failed one', null=True)),
                ("requested_by", models.TextField()),
                ("reason", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("ended_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["-created_at", "-id"],
                "indexes": [
                    models.Index(fields=["-created_at", "-id"], name="operation_newest"),
                    models.Index(
                        condition=models.Q(("state__in", ("pending", "running"))),
                        fields=["state"],
                        name="operation_open",
                    ),
                ],
            },
        ),
    ]
