"""One module per figure, each with a pure ``draw(cells) -> (figure, the numbers drawn)``."""
