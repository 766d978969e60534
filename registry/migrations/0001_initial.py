"""The first tables of this app, as Django wrote them down; never edited after a release."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ApiToken',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.TextField(help_text='What it is for; shown in the audit.')),
                ('prefix', models.TextField(editable=False, help_text='Its first characters, to tell it from others.')),
                ('hash', models.TextField(editable=False, unique=True)),
                ('scopes', models.JSONField(default=list)),
                ('sworms', models.JSONField(blank=True, default=list, help_text='Only these sworms; empty: all.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('created_by', models.TextField(blank=True, editable=False)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('last_used', models.DateTimeField(blank=True, editable=False, null=True)),
            ],
            options={
                'verbose_name': 'API token',
                'ordering': ['id'],
            },
        ),
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(auto_now_add=True, db_index=True)),
                ('actor', models.TextField(help_text='user:name, token:name or cli')),
                ('action', models.TextField(help_text='What was done, as process.register')),
                ('target', models.TextField(help_text='To what, as rooms/lobby')),
                ('reason', models.TextField(blank=True)),
                ('detail', models.JSONField(default=dict)),
            ],
            options={
                'verbose_name_plural': 'audit entries',
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='Node',
            fields=[
                ('name', models.TextField(db_collation='C', primary_key=True, serialize=False)),
                ('incarnation', models.BigIntegerField()),
                ('status', models.TextField()),
                ('cordoned', models.BooleanField(default=False)),
                ('url', models.TextField(blank=True)),
                ('labels', models.JSONField(default=dict)),
                ('capacity', models.FloatField(default=1.0)),
                ('sworms', models.JSONField(default=list, help_text='Names of the sworms it hosts, or ["*"].')),
                ('processes', models.IntegerField(default=0)),
                ('last_seen', models.DateTimeField()),
                ('stats', models.JSONField(default=dict)),
                ('definitions', models.JSONField(default=dict, help_text='{sworm: revision of the definition that it runs}')),
                ('forgotten', models.BooleanField(default=False, help_text='An operator forgot this ended incarnation.')),
                ('revision', models.BigIntegerField(db_index=True)),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='Removal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('revision', models.BigIntegerField(db_index=True)),
                ('sworm', models.TextField(db_collation='C')),
                ('name', models.TextField(db_collation='C')),
            ],
        ),
        migrations.CreateModel(
            name='Sworm',
            fields=[
                ('name', models.TextField(db_collation='C', help_text='Matches [a-z][a-z0-9_-]{0,62}.', primary_key=True, serialize=False)),
                ('revision', models.BigIntegerField(default=1, editable=False)),
                ('restart', models.TextField(default='transient', help_text='permanent: always; transient: after a crash; temporary: never.')),
                ('max_restarts', models.IntegerField(default=3, help_text='Restarts allowed within max_seconds, per process.')),
                ('max_seconds', models.FloatField(default=5.0, help_text='Window of max_restarts, in seconds.')),
                ('handoff', models.BooleanField(default=False, help_text='Carry the state along when a process moves.')),
                ('handoff_timeout_ms', models.IntegerField(default=5000, help_text='Longest wait for the state, in milliseconds.')),
                ('distribution_strategy', models.TextField(default='uniform', help_text='How a node is chosen for a new process.')),
                ('constraints', models.JSONField(blank=True, default=dict, help_text='Label constraints; must be empty for now.')),
                ('redistribution', models.TextField(default='passive', help_text='passive: running processes stay where they are.')),
                ('sync_interval_ms', models.IntegerField(default=300, help_text='Milliseconds between two repair rounds.')),
                ('max_sync_size', models.IntegerField(default=5000, help_text='Entries in one piece of a delta.')),
                ('allowed_modules', models.JSONField(blank=True, default=list, help_text='Module prefixes that may run here, as ["chat", "games.chess"]; empty: whatever the agent allows.')),
                ('isolation', models.TextField(default='task', help_text='Of processes that do not say their own: task or process.')),
                ('deleted', models.BooleanField(default=False, editable=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='Counter',
            fields=[
                ('id', models.SmallIntegerField(default=1, editable=False, primary_key=True, serialize=False)),
                ('revision', models.BigIntegerField(default=0)),
            ],
            options={
                'abstract': False,
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='counter_single')],
            },
        ),
        migrations.CreateModel(
            name='Event',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('revision', models.BigIntegerField()),
                ('at', models.DateTimeField(db_index=True)),
                ('kind', models.TextField()),
                ('sworm', models.TextField(blank=True, db_collation='C')),
                ('name', models.TextField(blank=True, db_collation='C')),
                ('node', models.TextField(blank=True, db_collation='C')),
                ('pid', models.TextField(blank=True, db_collation='C')),
                ('epoch', models.BigIntegerField(default=0)),
                ('detail', models.TextField(blank=True)),
            ],
            options={
                'ordering': ['revision', 'id'],
                'indexes': [models.Index(fields=['revision', 'id'], name='event_revision'), models.Index(fields=['sworm', 'name', 'revision', 'id'], name='event_process'), models.Index(fields=['node', 'revision', 'id'], name='event_node')],
            },
        ),
        migrations.CreateModel(
            name='IdempotencyKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('actor', models.TextField()),
                ('key', models.TextField()),
                ('request_hash', models.TextField(help_text='SHA-256 of method, path and body.')),
                ('status', models.SmallIntegerField(help_text='Empty: still being answered.', null=True)),
                ('content_type', models.TextField(blank=True)),
                ('body', models.BinaryField(default=b'')),
                ('created_at', models.DateTimeField(auto_now_add=True, db_index=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('actor', 'key'), name='idempotency_actor_key')],
            },
        ),
        migrations.CreateModel(
            name='Membership',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sworm', models.TextField(db_collation='C')),
                ('group', models.TextField(db_collation='C')),
                ('pid', models.TextField(db_collation='C')),
                ('name', models.TextField(db_collation='C')),
                ('revision', models.BigIntegerField()),
            ],
            options={
                'indexes': [models.Index(fields=['sworm', 'name'], name='membership_name')],
                'constraints': [models.UniqueConstraint(fields=('sworm', 'group', 'pid'), name='membership_sworm_group_pid')],
            },
        ),
        migrations.CreateModel(
            name='ObservedVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sworm', models.TextField(db_collation='C', help_text='Empty: the cluster-wide directory.')),
                ('origin', models.TextField(db_collation='C')),
                ('version', models.BigIntegerField()),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('sworm', 'origin'), name='observed_sworm_origin')],
            },
        ),
        migrations.CreateModel(
            name='ObserverTerm',
            fields=[
                ('id', models.SmallIntegerField(default=1, editable=False, primary_key=True, serialize=False)),
                ('term', models.BigIntegerField()),
                ('holder', models.TextField()),
                ('renewed_at', models.DateTimeField()),
            ],
            options={
                'abstract': False,
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='observerterm_single')],
            },
        ),
        migrations.CreateModel(
            name='Process',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sworm', models.TextField(db_collation='C')),
                ('name', models.TextField(db_collation='C')),
                ('pid', models.TextField(db_collation='C')),
                ('node', models.TextField(db_collation='C')),
                ('epoch', models.BigIntegerField()),
                ('state', models.TextField()),
                ('target', models.TextField(blank=True, help_text='module:identifier; empty for a name without a spec.')),
                ('args', models.JSONField(default=list)),
                ('kwargs', models.JSONField(default=dict)),
                ('isolation', models.TextField(default='task')),
                ('groups', models.JSONField(default=list, help_text='Names of its groups, sorted; the rows are in Membership.')),
                ('meta', models.JSONField(default=dict)),
                ('restarts', models.IntegerField(default=0)),
                ('started_at', models.DateTimeField()),
                ('revision', models.BigIntegerField(db_index=True)),
            ],
            options={
                'verbose_name_plural': 'processes',
                'ordering': ['sworm', 'name'],
                'indexes': [models.Index(fields=['node', 'sworm', 'name'], name='process_node'), models.Index(condition=models.Q(('state', 'running'), _negated=True), fields=['sworm', 'state', 'name'], name='process_not_running')],
                'constraints': [models.UniqueConstraint(fields=('sworm', 'name'), name='process_sworm_name')],
            },
        ),
        migrations.CreateModel(
            name='ReplicaSnapshot',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('node', models.TextField(db_collation='C')),
                ('sworm', models.TextField(db_collation='C', help_text='Empty: the cluster-wide directory.')),
                ('size', models.IntegerField()),
                ('digest', models.TextField(help_text='Hexadecimal, over all origins.')),
                ('digests', models.JSONField(default=dict, help_text='{origin: hexadecimal digest of its entries}')),
                ('versions', models.JSONField(default=dict, help_text='{origin: version}')),
                ('behind', models.IntegerField(default=0, help_text='Versions missing, summed over the origins.')),
                ('entries', models.BinaryField(help_text='MessagePack of the copies; only at longer intervals.', null=True)),
                ('observed_at', models.DateTimeField()),
            ],
            options={
                'indexes': [models.Index(fields=['node', 'sworm', '-observed_at'], name='replica_latest')],
            },
        ),
        migrations.CreateModel(
            name='SignInLink',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('hash', models.TextField(editable=False, unique=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('expires_at', models.DateTimeField()),
                ('used_at', models.DateTimeField(blank=True, null=True)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL)),
            ],
        ),
    ]
