_base_ = ['./shrec21.py']
data = 'activitynet12'
protocol = 'anet'
other_protocols = []
main_metric = 'det/mAP@0.50:0.95'
columns = ['0.50', '0.75', '0.95']
# there are no configs of these
entries = dict.fromkeys(('co2net', 'acr', 'cola', 'delu', 'bmn'))
