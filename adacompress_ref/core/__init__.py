"""The paper alone: equations, network, memory, agent, the three states, Algorithm 1. NumPy alone.

To be read in this order, with the paper beside it: `equations` (AC-1 to AC-9), `config` (every
constant and where it is from), `roles` (what plays together; what the paper's agent and monitor
leave empty there serves others), `qnetwork` and `replay`, `agent` (how it chooses and learns),
`estimator` (when to measure, when to learn again), `controller` (the three states), `training`
(Algorithm 1).
"""
