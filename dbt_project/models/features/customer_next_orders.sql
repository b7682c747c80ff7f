-- One row per as_of_date (what was known then), snapshot_date before it, and customer_id. Who had
-- not ordered again before as_of_date is censored there.
with

training_dates as (

    select dates.as_of_date
    from {{ ref('int_snapshot_dates') }} as dates
    where {{ is_due('is_training_date') }}

),

days as (

    select * from {{ ref('int_customer_days') }}
    where order_day_number is not null

),

known_customers as (

    select
        training_dates.as_of_date,
        dates.as_of_date as snapshot_date,
        first_days.customer_id

    from training_dates
    inner join {{ ref('int_snapshot_dates') }} as dates
        on training_dates.as_of_date > dates.as_of_date and dates.is_grid_date
    inner join days as first_days
        on
            dates.as_of_date > first_days.day_date and first_days.order_day_number = 1
            and {{ is_in_sample('first_days.sample_bucket') }}

)

select
    known_customers.as_of_date,
    known_customers.snapshot_date,
    known_customers.customer_id,
    coalesce(next_days.day_date, known_customers.as_of_date)
    - known_customers.snapshot_date as duration_days,
    next_days.day_date is not null as is_ordered

from known_customers
left join days as next_days
    on
        known_customers.customer_id = next_days.customer_id
        and {{ is_next_order_day('next_days', 'known_customers.snapshot_date') }}
        and known_customers.as_of_date > next_days.day_date
