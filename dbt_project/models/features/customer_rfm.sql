-- One row per as_of_date and customer_id: recency, frequency and money now, and as they were 28
-- days before. A day on or after the date is not seen.
{%- set is_before = 'days.day_date < dates.as_of_date - 28' %}
{%- set before = 'filter (where ' ~ is_before ~ ')' %}
{%- set ordered_before = 'filter (where days.count_orders > 0 and ' ~ is_before ~ ')' %}
with

dates as (

    select dates.as_of_date
    from {{ ref('int_snapshot_dates') }} as dates
    where {{ is_due('(is_scored_date or is_training_date)') }}

),

days as (

    select * from {{ ref('int_customer_days') }}

)

select
    dates.as_of_date,
    days.customer_id,
    (dates.as_of_date - max(days.day_date) filter (where days.count_orders > 0))::integer
        as days_since_last_order,
    max(days.order_day_number)::integer as count_order_days,
    greatest(sum(days.net_amount), 0)::numeric(24, 8) as net_spend_amount,
    greatest(
        coalesce(sum(days.net_amount) filter (where days.day_date >= dates.as_of_date - 365), 0), 0
    )::numeric(24, 8) as net_spend_amount_365d,
    (dates.as_of_date - 28 - max(days.day_date) {{ ordered_before }})::integer
        as days_since_last_order_28d_before,
    (max(days.order_day_number) {{ before }})::integer as count_order_days_28d_before,
    case
        when count(*) {{ ordered_before }} > 0
            then greatest(sum(days.net_amount) {{ before }}, 0)
    end::numeric(24, 8) as net_spend_amount_28d_before

from dates
inner join days on dates.as_of_date > days.day_date
group by dates.as_of_date, days.customer_id
having sum(days.count_orders) > 0

-- rows of a shard lie side by side (ml_tasks/features/shards.py)
order by dates.as_of_date, substr(md5(days.customer_id), 9, 8) collate "C"
