"""Real faults under real processes, and a checker that says what was lost: ``make chaos``."""
