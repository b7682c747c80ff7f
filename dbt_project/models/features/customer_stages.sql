-- One row per as_of_date and customer_id, for the customers of customer_snapshots.
with

dates as materialized (

    select dates.as_of_date
    from {{ ref('int_snapshot_dates') }} as dates
    where {{ is_due('is_past') }}

),

customers as (

    select
        snapshots.as_of_date,
        snapshots.customer_id

    from {{ ref('customer_snapshots') }} as snapshots
    inner join dates using (as_of_date)

),

counted as (

    select
        customers.as_of_date,
        customers.customer_id,
        count(seen.day_date)::integer as count_order_days_365d,
        count(seen.day_date) filter (where seen.day_date >= customers.as_of_date - 275)::integer
            as count_order_days_275d

    from customers
    left join {{ ref('int_customer_days') }} as seen
        on
            customers.customer_id = seen.customer_id
            and customers.as_of_date > seen.day_date
            and customers.as_of_date - 365 <= seen.day_date
            and seen.order_day_number is not null
    group by customers.as_of_date, customers.customer_id

)

select
    counted.as_of_date,
    counted.customer_id,
    spells.stage,
    spells.previous_stage,
    (counted.as_of_date - spells.from_date + 1)::integer as days_in_stage,
    counted.count_order_days_365d,
    counted.count_order_days_275d

from counted
inner join {{ ref('int_customer_stages') }} as spells
    on
        counted.customer_id = spells.customer_id
        and counted.as_of_date >= spells.from_date
        and counted.as_of_date < coalesce(spells.until_date, 'infinity'::date)

-- rows of a shard lie side by side (ml_tasks/features/shards.py)
order by counted.as_of_date, substr(md5(counted.customer_id), 9, 8) collate "C"
