"""AdaCompress in front of a service of one's own: what an integrator would copy.

`python -m bench.tour.for_integrators` sends the photographs of the first run.
"""

from pathlib import Path

import adacompress_ref as ac


class MyService:  # the call to your own service goes into label
    model = ac.open_service("squeezenet")

    def label(self, payload: bytes) -> list[ac.Label]:
        return [ac.Label(each.name, each.score) for each in self.model.label(payload)]


pilot, service, sent, reference = ac.AdaCompress.load(), MyService(), 0, 0
for photo in sorted(Path(__file__).parents[2].glob("photos/*.jpg")):
    result = pilot.upload(photo, service)
    sent, reference = sent + result.bytes_sent, reference + (result.reference_bytes or 0)
    best = ", ".join(label.name for label in result.labels[:2])
    print(f"{photo.name:<20} {result.encoding:>8}  {best}")
print(f"{sent} bytes sent, {sent / reference:.1%} of always quality 75")
