"""Songs to play from the first minute on."""

from django.db import migrations

SONGS = (
    ("Han River at Four", "The Night Buses"), ("Paper Umbrella", "Mina Seo"), ("Second Soundcheck", "Line Level"),
    ("Queue for One", "The Workers"), ("Slow Query", "Index & The Scans"), ("Ten Minutes Past", "Beat"),
    ("Elevator to the Roof", "Jun & Ara"), ("Salt", "Coastline"), ("Percentile", "The Ninety-Fives"),
    ("Warm Cache", "Working Set"), ("Left on Read", "Mina Seo"), ("Bright Noise", "Analog Kids"),
    ("Rabbit in the Yard", "The Brokers"), ("Moonlight Deploy", "Line Level"), ("One More Retry", "The Workers"),
    ("Cinder Block Garden", "Coastline"), ("Gauge", "Up & Down"), ("Counter", "Only Up"), ("Bus 272", "The Night Buses"),
    ("Swap", "Working Set"), ("Half Life of a Song", "Analog Kids"), ("Daylight Saving", "Beat"),
    ("Tin Roof Rain", "Jun & Ara"), ("Encore", "Everyone"),
)


def add(apps, schema_editor):
    Music = apps.get_model("music", "Music")
    Music.objects.bulk_create([Music(title=title, artist=artist) for title, artist in SONGS])


class Migration(migrations.Migration):
    dependencies = [("music", "0001_initial")]
    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
