"""What a customer will do next, answered once for all questions that ask it.

`chance` holds the chance of an order within 90 days, a combination of several models (`members`).
Churn is what is left to 1, survival goes through it on day 90, value multiplies it by what is spent
if anything: so the three agree on each customer.
"""
