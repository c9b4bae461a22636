"""Controllers: small networks that learn to build an architecture decision by decision (PPO, Rainbow, AlphaZero).

They run in the job's controller process, which holds no deep-learning library: their networks are NumPy.
"""
