-- One row per customer_id and from_date: a stage that the customer was in from that day on. The
-- stage at the start of a day follows from the order days before it, so a row says nothing of later
-- days, except until_date. The rules are read by ml_tasks/stages/rules.py, too.
{%- set rules = {
    "version": "1",
    "new_days": 90,
    "active_days": 90,
    "at_risk_days": 180,
    "loyal_order_days": 4,
    "loyal_window_days": 365,
    "away_days": 180,
    "won_back_days": 90
} %}
with

order_days as (

    select
        customer_id,
        day_date,
        coalesce(days_since_previous_order_day > {{ rules.away_days }}, false)::integer
            as ends_gap

    from {{ ref('int_customer_days') }}
    where order_day_number is not null and {{ is_changed('customer_id') }}

),

-- days on which a stage can change: an order day is known from the next day on
steps as (

    select
        customer_id,
        day_date + 1 as from_date,
        day_date as order_date,
        1 as order_days,
        ends_gap
    from order_days

    union all

    select
        customer_id,
        day_date + 1 + {{ rules.loyal_window_days }} as from_date,
        null::date as order_date,
        -1 as order_days,
        0 as ends_gap
    from order_days

    union all

    select
        customer_id,
        day_date + 1 + {{ rules.won_back_days }} as from_date,
        null::date as order_date,
        0 as order_days,
        -ends_gap as ends_gap
    from order_days

    union all

    select
        customer_id,
        day_date + 1 + stays.stay_days as from_date,
        null::date as order_date,
        0 as order_days,
        0 as ends_gap

    from order_days
    cross join (
        values ({{ rules.new_days }}), ({{ rules.active_days }}), ({{ rules.at_risk_days }})
    ) as stays (stay_days)

),

days as (

    select
        customer_id,
        from_date,
        max(order_date) as order_date,
        sum(order_days) as order_days,
        sum(ends_gap) as ends_gap

    from steps
    group by customer_id, from_date

),

states as (

    select
        customer_id,
        from_date,
        from_date - max(order_date) over so_far as days_since_last_order,
        from_date - min(order_date) over so_far as days_since_first_order,
        sum(order_days) over so_far as count_order_days,
        sum(ends_gap) over so_far as count_ended_gaps

    from days
    window so_far as (partition by customer_id order by from_date)

),

staged as (

    select
        customer_id,
        from_date,
        case
            when count_ended_gaps > 0 and days_since_last_order <= {{ rules.active_days }}
                then 'won_back'
            when days_since_first_order <= {{ rules.new_days }} then 'new'
            when days_since_last_order > {{ rules.at_risk_days }} then 'lost'
            when days_since_last_order > {{ rules.active_days }} then 'at_risk'
            when count_order_days >= {{ rules.loyal_order_days }} then 'loyal'
            else 'active'
        end as stage

    from states

),

changes as (

    select
        customer_id,
        from_date,
        stage,
        lag(stage) over (partition by customer_id order by from_date) as previous_stage

    from staged

)

select
    customer_id,
    from_date,
    lead(from_date) over (partition by customer_id order by from_date) as until_date,
    stage,
    previous_stage

from changes
where stage is distinct from previous_stage
