"""The leaderboard: every cell as a row of one self-contained page, and the same rows as CSV and JSON."""
