_base_ = ['./shrec21.py']
data = 'thumos14'
protocol = 'seconds212'
