"""The pictures: landscapes drawn by code, so that every person has some and nobody's art is copied.

The same seed draws the same picture for ever, so nothing needs to be stored.
"""

import hashlib
import math
from dataclasses import dataclass
from random import Random

WIDTH, HEIGHT = 800, 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a picture shows: title, day, a sentence for those who cannot see it, the colours from sky to ground."""

    title: str
    taken_on: str
    description: str
    sky: tuple[str, str]
    light: str
    layers: tuple[str, ...]
    water: bool = False
    stars: bool = False
    trees: bool = False


SCENES = (
    Scene(
        title="First light",
        taken_on="2025-03-09",
        description="A pale morning sun stands over four ranges of violet hills.",
        sky=("#f7d9c4", "#f2a488"),
        light="#fff3df",
        layers=("#b98aa0", "#8a6f97", "#5c5682", "#38406b"),
    ),
    Scene(
        title="The lake at noon",
        taken_on="2025-07-12",
        description="A pale sun stands over green hills and their lake.",
        sky=("#d8eef3", "#9fd3dc"),
        light="#fffbe8",
        layers=("#8cbf9f", "#5a9c85", "#2f7a72"),
        water=True,
    ),
    Scene(
        title="Pine wood in winter",
        taken_on="2025-01-18",
        description="Dark pines stand in front of white hills.",
        sky=("#eef1f6", "#c9d4e3"),
        light="#fdfdf6",
        layers=("#dfe6ee", "#f4f7fa"),
        trees=True,
    ),
    Scene(
        title="Night over the bay",
        taken_on="2025-08-23",
        description="The moon and many stars hang over black hills and still water.",
        sky=("#0d1736", "#2a3f70"),
        light="#f4efd9",
        layers=("#1c2b52", "#111d3d"),
        water=True,
        stars=True,
    ),
    Scene(
        title="Dunes",
        taken_on="2025-05-30",
        description="A pale sun stands over four ridges of sand.",
        sky=("#fde6c1", "#f5b66f"),
        light="#fff1c9",
        layers=("#e6a15c", "#cc7f43", "#a85f31", "#7c4425"),
    ),
    Scene(
        title="Evening in the valley",
        taken_on="2025-10-04",
        description="Dusk falls over violet hills and a row of pines.",
        sky=("#564787", "#e58a8f"),
        light="#ffd7a8",
        layers=("#7a4d80", "#573a6b", "#3a2a52"),
        trees=True,
    ),
)


def draw(seed: str, scene: Scene) -> str:
    """The picture as an SVG document without scripts, links or fonts."""
    # The same picture every time is the purpose: nothing here is a secret.
    random = Random(hashlib.sha256(seed.encode()).digest())  # noqa: S311
    horizon = random.uniform(0.5, 0.58) * HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" aria-label="{scene.description}">',
        '<defs><linearGradient id="sky" x1="0" y1="0" x2="0" y2="1">'
        f'<stop offset="0" stop-color="{scene.sky[0]}"/><stop offset="0.75" stop-color="{scene.sky[1]}"/>'
        "</linearGradient></defs>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="url(#sky)"/>',
    ]
    if scene.stars:
        parts += _stars(random, below=horizon)
    light_x = random.uniform(0.2, 0.8) * WIDTH
    parts += _light(scene, light_x, horizon - random.uniform(70, 190))
    shore = HEIGHT * 0.76 if scene.water else float(HEIGHT)
    for number, colour in enumerate(scene.layers):
        depth = number / len(scene.layers)
        top = horizon + depth * (shore - horizon)
        parts.append(_hills(random, top=top, roughness=70 * (1 - 0.6 * depth), bottom=shore, colour=colour))
    if scene.water:
        parts += _water(random, scene, shore, light_x)
    if scene.trees:
        parts += _trees(random)
    return "".join([*parts, "</svg>"])


def _light(scene: Scene, x: float, y: float) -> list[str]:
    halo = f'<circle cx="{x:.0f}" cy="{y:.0f}" r="120" fill="{scene.light}" opacity="0.18"/>'
    return [halo, f'<circle cx="{x:.0f}" cy="{y:.0f}" r="52" fill="{scene.light}"/>']


def _stars(random: Random, *, below: float) -> list[str]:
    return [
        f'<circle cx="{random.uniform(0, WIDTH):.0f}" cy="{random.uniform(0, below):.0f}" '
        f'r="{random.uniform(0.6, 1.9):.1f}" fill="#fdfbee" opacity="{random.uniform(0.4, 1):.2f}"/>'
        for _ in range(90)
    ]


def _hills(random: Random, *, top: float, roughness: float, bottom: float, colour: str) -> str:
    waves = [(random.uniform(0.6, 3.2), random.uniform(0, math.tau), random.uniform(0.15, 0.5)) for _ in range(4)]
    points = []
    for x in range(0, WIDTH + 1, 10):
        rise = sum(height * math.sin(count * math.tau * x / WIDTH + phase) for count, phase, height in waves)
        points.append(f"{x},{top - roughness * rise:.0f}")
    outline = " ".join(points)
    return f'<polygon points="0,{bottom:.0f} {outline} {WIDTH},{bottom:.0f}" fill="{colour}"/>'


def _water(random: Random, scene: Scene, shore: float, light_x: float) -> list[str]:
    surface = f'<rect y="{shore:.0f}" width="{WIDTH}" height="{HEIGHT - shore:.0f}"'
    parts = [f'{surface} fill="{scene.sky[1]}"/>', f'{surface} fill="{scene.layers[-1]}" opacity="0.35"/>']
    for _ in range(26):
        y = random.uniform(shore + 6, HEIGHT - 4)
        width = random.uniform(20, 120)
        x = light_x + random.gauss(0, 46) - width / 2
        glint = f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="3" rx="1.5"'
        parts.append(f'{glint} fill="{scene.light}" opacity="0.5"/>')
    return parts


def _trees(random: Random) -> list[str]:
    parts = []
    for _ in range(19):
        x, foot = random.uniform(-20, WIDTH + 20), random.uniform(HEIGHT - 20, HEIGHT + 60)
        height = random.uniform(150, 290)
        width = height * 0.36
        for step in range(4):
            tip, half = foot - height + step * height * 0.19, width * (0.4 + 0.2 * step) / 1.2
            base = tip + height * 0.34
            outline = f"{x:.0f},{tip:.0f} {x - half:.0f},{base:.0f} {x + half:.0f},{base:.0f}"
            parts.append(f'<polygon points="{outline}" fill="#16323a"/>')
    return parts
