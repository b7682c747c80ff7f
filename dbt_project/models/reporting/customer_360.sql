-- One row per customer known on the newest date that every question has published. What is known of
-- them is of the same date: nothing of that day or later.
with

newest_date as (

    select as_of_date
    from {{ source('ops', 'publications') }}
    where question in ('churn', 'clv', 'survival', 'demand')
    group by as_of_date
    having count(*) = 4
    order by as_of_date desc
    limit 1

),

churn as (

    select * from {{ ref('churn_history') }}
    where as_of_date = (select as_of_date from newest_date)

),

clv as (

    select * from {{ ref('clv_history') }}
    where as_of_date = (select as_of_date from newest_date)

),

survival as (

    select * from {{ ref('survival_history') }}
    where as_of_date = (select as_of_date from newest_date)

),

snapshots as (

    select * from {{ ref('customer_snapshots') }}
    where as_of_date = (select as_of_date from newest_date)

)

select
    churn.as_of_date,
    churn.customer_id,
    snapshots.country,
    snapshots.as_of_date - snapshots.days_since_first_order as first_order_date,
    snapshots.as_of_date - snapshots.days_since_last_order as last_order_date,
    snapshots.days_since_last_order,
    snapshots.count_orders,
    snapshots.count_orders_365d,
    snapshots.net_spend_amount::numeric(18, 2) as net_spend_amount,
    snapshots.net_spend_amount_365d::numeric(18, 2) as net_spend_amount_365d,
    snapshots.refund_amount::numeric(18, 2) as refund_amount,
    snapshots.avg_order_amount::numeric(18, 2) as avg_order_amount,
    snapshots.avg_days_between_orders,
    churn.churn_probability_90d,
    churn.churn_percentile_90d,
    churn.churn_risk_band,
    clv.predicted_spend_amount_90d,
    clv.predicted_spend_amount_365d,
    clv.predicted_orders_90d,
    clv.value_tier,
    survival.expected_days_to_next_order,
    survival.order_probability_30d,
    survival.order_probability_60d,
    survival.order_probability_90d,
    survival.order_probability_180d,
    churn.score_status as churn_score_status,
    churn.score_reason as churn_score_reason,
    clv.score_status as clv_score_status,
    clv.score_reason as clv_score_reason,
    survival.score_status as survival_score_status,
    survival.score_reason as survival_score_reason,
    churn.reason_1 as churn_reason_1,
    churn.reason_2 as churn_reason_2,
    churn.reason_3 as churn_reason_3,
    clv.predicted_spend_amount_90d_lower,
    clv.predicted_spend_amount_90d_p50,
    clv.predicted_spend_amount_90d_upper,
    clv.predicted_spend_amount_365d_lower,
    clv.predicted_spend_amount_365d_p50,
    clv.predicted_spend_amount_365d_upper,
    churn.churn_risk_band_rank,
    churn.churn_relative_band,
    churn.reason_code_1 as churn_reason_code_1,
    churn.reason_code_2 as churn_reason_code_2,
    churn.reason_code_3 as churn_reason_code_3,
    clv.spend_probability_90d,
    clv.spend_probability_365d,
    clv.predicted_spend_note,
    clv.predicted_spend_if_buying_90d_lower,
    clv.predicted_spend_if_buying_90d_p50,
    clv.predicted_spend_if_buying_90d_upper

from churn
left join clv using (as_of_date, customer_id)
left join survival using (as_of_date, customer_id)
left join snapshots using (as_of_date, customer_id)
