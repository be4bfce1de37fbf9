"""Hội Thi: the four services of a citywide contest, what they share (`kit`) and what they tell one another (`events`)."""
