_base_ = ['./activitynet12.py']
data = 'activitynet13'
