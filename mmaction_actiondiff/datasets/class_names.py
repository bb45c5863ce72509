"""Class names and preparation hints of the known data sets.

The names are the labels of the published annotations, letter for letter
(ActivityNet's misspellings included), sorted, so that the index of a class is
the same as in the annotation bundles that public code reads.
"""
from __future__ import annotations

THUMOS14 = ('BaseballPitch', 'BasketballDunk', 'Billiards', 'CleanAndJerk',
            'CliffDiving', 'CricketBowling', 'CricketShot', 'Diving',
            'FrisbeeCatch', 'GolfSwing', 'HammerThrow', 'HighJump',
            'JavelinThrow', 'LongJump', 'PoleVault', 'Shotput',
            'SoccerPenalty', 'TennisSwing', 'ThrowDiscus', 'VolleyballSpiking')

ACTIVITYNET12 = (
    'Archery', 'Ballet', 'Bathing dog', 'Belly dance', 'Breakdancing',
    'Brushing hair', 'Brushing teeth', 'Bungee jumping', 'Cheerleading',
    'Chopping wood', 'Clean and jerk', 'Cleaning shoes', 'Cleaning windows',
    'Cricket', 'Cumbia', 'Discus throw', 'Dodgeball', 'Doing karate',
    'Doing kickboxing', 'Doing motocross', 'Doing nails',
    'Doing step aerobics', 'Drinking beer', 'Drinking coffee',
    'Fixing bicycle', 'Getting a haircut', 'Getting a piercing',
    'Getting a tattoo', 'Grooming horse', 'Hammer throw',
    'Hand washing clothes', 'High jump', 'Hopscotch', 'Horseback riding',
    'Ironing clothes', 'Javelin throw', 'Kayaking',
    'Layup drill in basketball', 'Long jump', 'Making a sandwich',
    'Mixing drinks', 'Mowing the lawn', 'Paintball', 'Painting', 'Ping-pong',
    'Plataform diving', 'Playing accordion', 'Playing badminton',
    'Playing bagpipes', 'Playing field hockey', 'Playing flauta',
    'Playing guitarra', 'Playing harmonica', 'Playing kickball',
    'Playing lacrosse', 'Playing piano', 'Playing polo', 'Playing racquetball',
    'Playing saxophone', 'Playing squash', 'Playing violin',
    'Playing volleyball', 'Playing water polo', 'Pole vault',
    'Polishing forniture', 'Polishing shoes', 'Preparing pasta',
    'Preparing salad', 'Putting on makeup', 'Removing curlers',
    'Rock climbing', 'Sailing', 'Shaving', 'Shaving legs', 'Shot put',
    'Shoveling snow', 'Skateboarding', 'Smoking a cigarette', 'Smoking hookah',
    'Snatch', 'Spinning', 'Springboard diving', 'Starting a campfire',
    'Tai chi', 'Tango', 'Tennis serve with ball bouncing', 'Triple jump',
    'Tumbling', 'Using parallel bars', 'Using the balance beam',
    'Using the pommel horse', 'Using uneven bars', 'Vacuuming floor',
    'Walking the dog', 'Washing dishes', 'Washing face', 'Washing hands',
    'Windsurfing', 'Wrapping presents', 'Zumba')

ACTIVITYNET13 = (
    'Applying sunscreen', 'Archery', 'Arm wrestling', 'Assembling bicycle',
    'BMX', 'Baking cookies', 'Ballet', 'Bathing dog', 'Baton twirling',
    'Beach soccer', 'Beer pong', 'Belly dance', 'Blow-drying hair',
    'Blowing leaves', 'Braiding hair', 'Breakdancing', 'Brushing hair',
    'Brushing teeth', 'Building sandcastles', 'Bullfighting', 'Bungee jumping',
    'Calf roping', 'Camel ride', 'Canoeing', 'Capoeira',
    'Carving jack-o-lanterns', 'Changing car wheel', 'Cheerleading',
    'Chopping wood', 'Clean and jerk', 'Cleaning shoes', 'Cleaning sink',
    'Cleaning windows', 'Clipping cat claws', 'Cricket', 'Croquet', 'Cumbia',
    'Curling', 'Cutting the grass', 'Decorating the Christmas tree',
    'Disc dog', 'Discus throw', 'Dodgeball', 'Doing a powerbomb',
    'Doing crunches', 'Doing fencing', 'Doing karate', 'Doing kickboxing',
    'Doing motocross', 'Doing nails', 'Doing step aerobics', 'Drinking beer',
    'Drinking coffee', 'Drum corps', 'Elliptical trainer', 'Fixing bicycle',
    'Fixing the roof', 'Fun sliding down', 'Futsal', 'Gargling mouthwash',
    'Getting a haircut', 'Getting a piercing', 'Getting a tattoo',
    'Grooming dog', 'Grooming horse', 'Hammer throw', 'Hand car wash',
    'Hand washing clothes', 'Hanging wallpaper', 'Having an ice cream',
    'High jump', 'Hitting a pinata', 'Hopscotch', 'Horseback riding',
    'Hula hoop', 'Hurling', 'Ice fishing', 'Installing carpet',
    'Ironing clothes', 'Javelin throw', 'Kayaking', 'Kite flying', 'Kneeling',
    'Knitting', 'Laying tile', 'Layup drill in basketball', 'Long jump',
    'Longboarding', 'Making a cake', 'Making a lemonade', 'Making a sandwich',
    'Making an omelette', 'Mixing drinks', 'Mooping floor', 'Mowing the lawn',
    'Paintball', 'Painting', 'Painting fence', 'Painting furniture',
    'Peeling potatoes', 'Ping-pong', 'Plastering', 'Plataform diving',
    'Playing accordion', 'Playing badminton', 'Playing bagpipes',
    'Playing beach volleyball', 'Playing blackjack', 'Playing congas',
    'Playing drums', 'Playing field hockey', 'Playing flauta',
    'Playing guitarra', 'Playing harmonica', 'Playing ice hockey',
    'Playing kickball', 'Playing lacrosse', 'Playing piano', 'Playing polo',
    'Playing pool', 'Playing racquetball', 'Playing rubik cube',
    'Playing saxophone', 'Playing squash', 'Playing ten pins',
    'Playing violin', 'Playing water polo', 'Pole vault',
    'Polishing forniture', 'Polishing shoes', 'Powerbocking',
    'Preparing pasta', 'Preparing salad', 'Putting in contact lenses',
    'Putting on makeup', 'Putting on shoes', 'Rafting', 'Raking leaves',
    'Removing curlers', 'Removing ice from car', 'Riding bumper cars',
    'River tubing', 'Rock climbing', 'Rock-paper-scissors', 'Rollerblading',
    'Roof shingle removal', 'Rope skipping', 'Running a marathon', 'Sailing',
    'Scuba diving', 'Sharpening knives', 'Shaving', 'Shaving legs', 'Shot put',
    'Shoveling snow', 'Shuffleboard', 'Skateboarding', 'Skiing', 'Slacklining',
    'Smoking a cigarette', 'Smoking hookah', 'Snatch', 'Snow tubing',
    'Snowboarding', 'Spinning', 'Spread mulch', 'Springboard diving',
    'Starting a campfire', 'Sumo', 'Surfing', 'Swimming',
    'Swinging at the playground', 'Table soccer', 'Tai chi', 'Tango',
    'Tennis serve with ball bouncing', 'Throwing darts',
    'Trimming branches or hedges', 'Triple jump', 'Tug of war', 'Tumbling',
    'Using parallel bars', 'Using the balance beam', 'Using the monkey bar',
    'Using the pommel horse', 'Using the rowing machine', 'Using uneven bars',
    'Vacuuming floor', 'Volleyball', 'Wakeboarding', 'Walking the dog',
    'Washing dishes', 'Washing face', 'Washing hands', 'Waterskiing',
    'Waxing skis', 'Welding', 'Windsurfing', 'Wrapping presents', 'Zumba')

SHREC21 = ('CIRCLE', 'CROSS', 'DENY', 'EXPAND', 'FOUR', 'GRAB', 'KNOB', 'LEFT',
           'MENU', 'OK', 'ONE', 'PINCH', 'RIGHT', 'TAP', 'THREE', 'TWO', 'V')

#: Class names by data set name; the index in the tuple is the class index.
CLASS_NAMES: dict[str, tuple[str, ...]] = dict(
    thumos14=THUMOS14,
    activitynet12=ACTIVITYNET12,
    activitynet13=ACTIVITYNET13,
    shrec21=SHREC21)

_LAYOUT = ('Expected layout: {root}/annotations.json (ActivityNet schema) and '
           '{root}/features/NAME.npy, one (T, D) array per video.')

_ACTIVITYNET = (
    'ActivityNet v{version}: download the two-stream I3D features (16 frames '
    'at 25 fps, 2048 channels) and the ActivityNet{version}-Annotations '
    'bundle that the public CO2-Net code reads, then run\n'
    '    python tools/prepare/activitynet.py \\\n'
    '        --annotations DIR/ActivityNet{version}-Annotations \\\n'
    '        --features DIR/ActivityNet{version}-I3D-JOINTFeatures.npy \\\n'
    '        --out {{root}}\n'
    'To keep the data elsewhere set {variable}.')

_HINTS = dict(
    thumos14=(
        'THUMOS14: download the two-stream I3D features (16 frames at 25 fps, '
        '2048 channels) and the Thumos14reduced-Annotations bundle that the '
        'public CO2-Net code reads, then run\n'
        '    python tools/prepare/thumos14.py \\\n'
        '        --annotations DIR/Thumos14reduced-Annotations \\\n'
        '        --features DIR/Thumos14reduced-I3D-JOINTFeatures.npy \\\n'
        '        --out {root}\n'
        'To keep the data elsewhere set ACTIONDIFF_THUMOS14.'),
    activitynet12=_ACTIVITYNET.format(
        version='1.2', variable='ACTIONDIFF_ACTIVITYNET12'),
    activitynet13=_ACTIVITYNET.format(
        version='1.3', variable='ACTIONDIFF_ACTIVITYNET13'),
    shrec21=("SHREC'21 hand-gesture recordings: put the prepared folder "
             '(annotations.json and features/) at {root}, or set '
             'ACTIONDIFF_SHREC21 to the folder that holds it.'))


def data_hint(dataset_name: str | None, data_root: str) -> str:
    """What to download, where to put it and which command prepares it.

    Args:
        dataset_name (str, optional): A key of :data:`CLASS_NAMES`; any other
            name gets the description of the layout only.
        data_root (str): The folder the data was looked for in.

    Returns:
        str: Text to end an error message about missing data with.
    """
    lines = [_LAYOUT]
    if dataset_name in _HINTS:
        lines.insert(0, _HINTS[dataset_name])
    return '\n'.join(lines).format(root=data_root)
