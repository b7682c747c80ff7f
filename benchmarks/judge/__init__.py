"""The judge: the same figures for every model, from its predictions and what then happened.

Pure: frames in, figures out. A figure that cannot be computed is NaN.
"""

from benchmarks.judge.customers import churn, clv
from benchmarks.judge.next_orders import judged as next_order
from benchmarks.judge.paired import BETTER, Judgement, goodness
from benchmarks.judge.segments import segments
from benchmarks.judge.stages import stages
from benchmarks.judge.verdicts import decide, decide_signs, paired, pooled
from benchmarks.judge.waits import survival
from benchmarks.judge.weeks import demand

__all__ = [
    "BETTER",
    "Judgement",
    "churn",
    "clv",
    "decide",
    "decide_signs",
    "demand",
    "goodness",
    "next_order",
    "paired",
    "pooled",
    "segments",
    "stages",
    "survival",
]
