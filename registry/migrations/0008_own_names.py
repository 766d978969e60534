from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('registry', '0007_revisions'),
    ]

    operations = [
        migrations.AddField(
            model_name='process',
            name='of',
            field=models.TextField(blank=True, db_collation='C', default='', help_text='The own name of its process, where this is a further one.'),
        ),
    ]
