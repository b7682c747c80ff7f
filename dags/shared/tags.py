"""The closed vocabulary of tags; tests/rules refuses any other. A DAG has one of each list."""

# How much waits for the DAG, as the first words of its page say too.
IMPACTS = {
    "impact:tier-1": "nothing is scored until it succeeds",
    "impact:tier-2": "one question keeps its last scores until it succeeds",
}
STEPS = ("step:land", "step:build", "step:train", "step:score", "step:report", "step:erase")
