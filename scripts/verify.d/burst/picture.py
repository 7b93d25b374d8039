"""Draws a burst as SVG: memory, what was accepted and answered over time, and how long answers took."""

WIDTH, PANEL, LEFT, GAP = 720, 190, 64, 46
INK, GRID, BLUE, RED, GREEN = "#333", "#ddd", "#2b6cb0", "#c53030", "#2f855a"


def nice(value: float) -> float:
    """A round number that is not less."""
    size = 10 ** (len(str(int(max(value, 1)))) - 1)
    return next(size * step for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if size * step >= value)


class Panel:
    """One plot: axes first, then lines."""

    def __init__(self, row: int, title: str, across: tuple[float, str], up: tuple[float, str]):
        self.top = 30 + row * (PANEL + GAP)
        self.across, self.up = across[0], up[0]
        self.parts = [f'<text x="{LEFT}" y="{self.top - 8}" font-weight="bold">{title}</text>']
        for step in range(5):
            y, x = self.y(self.up * step / 4), self.x(self.across * step / 4)
            self.parts.append(f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>')
            self.parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{self.up * step / 4:g}</text>')
            below = self.top + PANEL + 15
            self.parts.append(f'<text x="{x:.1f}" y="{below}" text-anchor="middle">{self.across * step / 4:g}</text>')
        self.parts.append(f'<text x="{WIDTH - 20}" y="{self.top - 8}" text-anchor="end">{up[1]} by {across[1]}</text>')

    def x(self, value: float) -> float:
        return LEFT + (WIDTH - 20 - LEFT) * value / self.across

    def y(self, value: float) -> float:
        return self.top + PANEL - PANEL * value / self.up

    def line(self, points: list[tuple[float, float]], colour: str, name: str, at: int) -> None:
        """A line, and its name in the corner."""
        step = max(1, len(points) // 360)
        kept = points[::step] + points[-1:]
        path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in kept)
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        self.parts.append(f'<text x="{LEFT + 10 + 150 * at}" y="{self.top + 16}" fill="{colour}">{name}</text>')


def draw(memory, accepted: list[float], answered: list[float], waits: list[float]) -> str:
    """The whole picture."""
    end = nice(max(memory[-1][0], answered[-1]))
    rss = Panel(0, "Resident memory", (end, "second"), (nice(max(mb for _, mb in memory)), "MB"))
    rss.line([(max(0, at), mb) for at, mb in memory], RED, "ostler up", 0)
    count = Panel(1, "Messages", (end, "second"), (nice(len(answered)), "messages"))
    count.line([(at, n + 1) for n, at in enumerate(sorted(accepted))], BLUE, "accepted", 0)
    count.line([(at, n + 1) for n, at in enumerate(answered)], GREEN, "answered, asleep again", 1)
    ordered = sorted(waits)
    spread = Panel(2, "From acceptance to asleep again", (100, "% of messages"), (nice(10 * ordered[-1]) / 10, "seconds"))
    spread.line([(100 * n / len(ordered), wait) for n, wait in enumerate(ordered)], BLUE, "no longer than", 0)
    height = 30 + 3 * (PANEL + GAP)
    body = "\n".join(part for panel in (rss, count, spread) for part in panel.parts)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
            f'font-size="12" fill="{INK}">\n<rect width="{WIDTH}" height="{height}" fill="white"/>\n{body}\n</svg>\n')
