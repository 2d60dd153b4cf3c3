"""The paper alone: equations, network, memory, agent, the three states, Algorithm 1."""
