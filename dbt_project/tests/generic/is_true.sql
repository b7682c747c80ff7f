{# Rows for which the condition does not hold; unknown counts as not. #}
{% test is_true(model, condition) %}
select * from {{ model }}
where ({{ condition }}) is not true
{% endtest %}
