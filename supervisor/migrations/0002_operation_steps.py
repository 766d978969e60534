"""The processes of an operation, and who cancelled it."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('supervisor', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='operation',
            name='cancelled_by',
            field=models.TextField(blank=True, help_text='Who wants no more of it; nothing new is begun since.'),
        ),
        migrations.AddField(
            model_name='operation',
            name='started_at',
            field=models.DateTimeField(help_text='When an observer took it up first.', null=True),
        ),
        migrations.AlterField(
            model_name='operation',
            name='kind',
            field=models.TextField(help_text='drain, handoff, migrate, rebalance, restart'),
        ),
        migrations.AlterField(
            model_name='operation',
            name='steps',
            field=models.JSONField(default=list, help_text='[{"at", "text"}] of the whole, oldest first'),
        ),
        migrations.CreateModel(
            name='OperationStep',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.IntegerField(help_text='Its turn, from 0.')),
                ('sworm', models.TextField(db_collation='C')),
                ('name', models.TextField(db_collation='C')),
                ('source', models.TextField(blank=True, db_collation='C', help_text='The node that it is to leave.')),
                ('to', models.TextField(blank=True, db_collation='C', help_text='The node wanted; empty: as placement wants.')),
                ('why', models.TextField(blank=True, help_text='Why it is part of the operation.')),
                ('state', models.TextField(default='waiting')),
                ('attempts', models.IntegerField(default=0)),
                ('pid', models.TextField(blank=True, db_collation='C', help_text='Of the incarnation that was asked.')),
                ('epoch', models.BigIntegerField(default=0)),
                ('code', models.TextField(blank=True)),
                ('detail', models.TextField(blank=True)),
                ('asked_at', models.FloatField(default=0.0, help_text='Seconds since 1970; 0: never.')),
                ('ended_at', models.FloatField(default=0.0, help_text='Seconds since 1970; 0: not yet.')),
                ('operation', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='processes', to='supervisor.operation')),
            ],
            options={
                'ordering': ['operation', 'number'],
                'constraints': [models.UniqueConstraint(fields=('operation', 'number'), name='step_operation_number')],
            },
        ),
    ]
