"""Networks beside each other: what they cost, how long they take, what proxies and trainings say of them."""
