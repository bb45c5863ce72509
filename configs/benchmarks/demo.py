_base_ = ['./shrec21.py']
data = 'demo'
