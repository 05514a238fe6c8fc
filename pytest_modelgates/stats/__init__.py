"""Statistics of the gates: arrays in, numbers out. Knows nothing of pytest, ONNX Runtime, pandas or files.

The modules are public, and so are their names without an underscore. Import from the module: nothing is exported here.

============  ==============================================================================
module        question that it answers
============  ==============================================================================
ablation      Would the model do better without one of its feature groups?
agreement     Do two sets of scores rank the same rows alike?
arms          Do two models differ on rows that were dealt between them?
attendance    Which rows are missing between others, and does any name ever leave?
baseline      Does a model that is not a trading signal beat its baseline?
caps          What would a position earn within limits of exposure?
comparison    Does any of several series beat its benchmark, and which?
copy_effects  What does a small difference between two copies of a model change?
costs         What do trading and holding cost?
days          Which rows belong to each day, how many periods make a year, and where are some missing?
decay         How long do scores rank the returns?
families      Are two panels of the same market data?
holdings      What would following the scores have held, paid and earned on each day?
giveaway      Does a single feature tell the target?
leakage       Do scores or features know what they cannot know?
left_out      Were whole days left out?
markets       When was a whole market closed?
overfitting   How often would the best of several backtests disappoint?
placebo       Does a position earn more than on other names, and on other days?
plausible     Can these be returns?
portfolio     What would the position have earned, and how large was it?
purging       Do training and test share a label? (for users, no gate)
quantiles     Which value does a share of a sample not exceed? Is a series fit to be tested?
ranks         How well do scores rank the returns of each day?
repeats       Does a day come twice, under two dates?
resampling    How do means scatter if dependent days are drawn anew?
risk          What does a series of returns risk?
sharpe        What is a Sharpe ratio worth, by itself and as the best of several?
significance  Does a mean exceed a bound by more than luck?
sufficiency   Is there enough data to judge by?
target        Is the target the return that the returns make?
trials        What remains of a result once all trials count?
walkforward   Does the IC hold from fold to fold?
============  ==============================================================================

`docs/statistics.md` says for each gate which of them it asks, what they assume, and when they mislead.
"""
